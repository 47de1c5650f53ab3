"""Features without training or labels: whitened random patches as filters, pooled over the quarters of the image.

Coates, Ng and Lee, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS 2011), in the form
with patches of the data as dictionary and soft thresholds as encoder (Coates and Ng, ICML 2011). With a closed-form
linear classifier on top they give a first opinion on every label in a minute, from outside the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from noisyclean.base.runtime import Runtime, generator
from noisyclean.data.augment import FixedView
from noisyclean.data.batches import Pixels
from noisyclean.engine.inference import stacked

__all__ = ["PatchFeatures"]

SIDE_PX = 6
NUM_SAMPLED = 20_000
"""Patches the whitening is estimated from, and the filters are drawn from."""
CONTRAST_FLOOR = 0.15
"""Added to a patch's standard deviation, in standard deviations of the data set: flat patches stay flat."""
WHITENING_FLOOR = 0.01
THRESHOLD = 0.5
BLOCK_CPU = 25
"""Images whose responses fit into a core's cache."""
BLOCK_ACCELERATOR = 1_000
POSITIONS = 27
"""About as many positions along each axis whatever the image size."""


@dataclass(frozen=True, kw_only=True)
class PatchFeatures:
    """Whitened patches as filters, their responses soft-thresholded both ways and averaged over a grid of regions."""

    weight_KD: Tensor
    """Filters on standardised patches; D counts rows, columns and channels, the last one fastest."""
    bias_K: Tensor
    """What the mean patch takes off each response."""
    stride: int
    num_regions: int

    @classmethod
    def learn(
        cls, pixels: Pixels, *, num_filters: int = 256, num_regions: int = 2, seed: int, runtime: Runtime
    ) -> PatchFeatures:
        """Draw patches, whiten them, and keep some as filters.

        Args:
            pixels: The images.
            num_filters: Filters; the features have ``2 * num_filters * num_regions ** 2`` dimensions.
            num_regions: Regions along each axis that responses are averaged over.
            seed: Of the draw.
            runtime: Device.
        """
        draw = generator(runtime.device, seed, "patches")
        patch_PD = _standardised_patches(_draw_patches(pixels, draw), stride=1).squeeze(1)
        mean_D = patch_PD.mean(dim=0)
        centred_PD = patch_PD - mean_D
        eigenvalue_D, basis_DD = torch.linalg.eigh((centred_PD.T @ centred_PD / len(patch_PD)).double())
        whiten_DD = (basis_DD * (eigenvalue_D + WHITENING_FLOOR).rsqrt()) @ basis_DD.T
        whiten_DD = whiten_DD.to(patch_PD.dtype)
        chosen = torch.randperm(len(patch_PD), generator=draw, device=draw.device)[:num_filters]
        filter_KD = functional.normalize(centred_PD[chosen] @ whiten_DD, dim=1) @ whiten_DD
        return cls(
            weight_KD=filter_KD,
            bias_K=-(filter_KD @ mean_D),
            stride=max(1, round((pixels.size_px - SIDE_PX) / (POSITIONS - 1))),
            num_regions=num_regions,
        )

    @property
    def num_features(self) -> int:
        """Dimensions of a feature vector."""
        return 2 * len(self.bias_K) * self.num_regions**2

    def __call__(self, pixels: Pixels, row_B: Tensor, runtime: Runtime, view: FixedView | None = None) -> Tensor:
        """Features of some images, shape (B, regions * 2 * filters), float32."""
        patch_BLD = _standardised_patches(pixels.fixed(pixels.take(row_B), view or FixedView()), self.stride)
        num_positions = patch_BLD.shape[1]
        side = math.isqrt(num_positions)
        single = torch.eye(num_positions, device=patch_BLD.device).view(num_positions, side, side)
        pool_RL = functional.adaptive_avg_pool2d(single, self.num_regions).flatten(1).T
        with runtime.autocast():
            above_BLK = functional.linear(patch_BLD, self.weight_KD, self.bias_K - THRESHOLD)
            below_BLK = -2 * THRESHOLD - above_BLK  # what the negated filters give: no second product
            pooled_BRK = torch.cat([pool_RL @ sign_BLK.relu_() for sign_BLK in (above_BLK, below_BLK)], dim=2)
        return pooled_BRK.float().flatten(1)

    def blocks(self, pixels: Pixels, runtime: Runtime, view: FixedView | None = None) -> Iterator[Tensor]:
        """Features of all images in order, a few images at a time."""
        block = BLOCK_CPU if runtime.device.type == "cpu" else BLOCK_ACCELERATOR
        for row_B in pixels.beside(torch.arange(len(pixels))).split(block):
            yield self(pixels, row_B, runtime, view)

    def all(
        self,
        pixels: Pixels,
        runtime: Runtime,
        view: FixedView | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        advance: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Features of all images, shape (N, D).

        Args:
            pixels: The images.
            runtime: Device.
            view: How they are looked at.
            dtype: Of what is kept.
            advance: Hears of how many more images the features are there.
        """

        def parts() -> Iterator[Tensor]:
            for z_BD in self.blocks(pixels, runtime, view):
                yield z_BD.to(dtype)
                if advance is not None:
                    advance(len(z_BD))

        return stacked(parts(), len(pixels))


def _draw_patches(pixels: Pixels, draw: torch.Generator) -> Tensor:
    """Random patches of random images, shape (P, 3, side, side), normalised as the images are."""
    last = pixels.size_px - SIDE_PX + 1
    images = torch.randint(len(pixels), (NUM_SAMPLED,), generator=draw, device=draw.device)
    top, left = (torch.randint(last, (NUM_SAMPLED,), generator=draw, device=draw.device) for _ in range(2))
    return pixels.patches(images, top, left, SIDE_PX)


def _standardised_patches(x_BIHW: Tensor, stride: int) -> Tensor:
    """Every patch of every image, centred and divided by its contrast, shape (B, L, side * side * 3).

    Means and contrasts come from sums over windows, which overlap, instead of from the patches.
    """
    x_BHWI = x_BIHW.permute(0, 2, 3, 1).contiguous()
    patch_BTLIRC = x_BHWI.unfold(1, SIDE_PX, stride).unfold(2, SIDE_PX, stride)
    patch_BLD = patch_BTLIRC.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(1, 2)
    moment_B2HW = torch.stack([x_BHWI.mean(dim=3), x_BHWI.square().mean(dim=3)], dim=1)
    moment_B2L1 = functional.avg_pool2d(moment_B2HW, SIDE_PX, stride).flatten(2).unsqueeze(3)
    mean_BL1, square_BL1 = moment_B2L1.unbind(dim=1)
    deviation_BL1 = (square_BL1 - mean_BL1**2).clamp(min=0).sqrt()
    return (patch_BLD - mean_BL1) / (deviation_BL1 + CONTRAST_FLOOR)
