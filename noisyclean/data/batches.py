"""Batches of pixels on the device: the store held there when it fits, else copied over batch by batch.

Which rows a batch has must be known where the images are: a step that had to ask an accelerator for them would wait
until it has done all it was given. So an epoch's order is kept beside the images, and batches travel through pinned
memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisyclean.base.runtime import generator
from noisyclean.data.augment import Augmentation, FixedView, apply_view, sample_view
from noisyclean.data.rows import ImageRows, Images

__all__ = ["NORMALISATION", "Pixels", "ShuffledBatches", "channel_statistics", "load_pixels"]

SHARE_OF_DEVICE = 0.5
"""Of the free device memory, at most this much is given to the images."""
SAMPLED_IMAGES, FEWEST_SAMPLED = 10_000, 200
SAMPLED_VALUES = SAMPLED_IMAGES * 32 * 32
"""Channel statistics come from so many images, fewer where they are large."""
LEVELS_3 = 256 * np.arange(3)
"""Where the counts of each channel's levels begin."""
NORMALISATION = ("mean_3", "std_3")
"""Names of what images are normalised by, here and where it is recorded."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """uint8 images and how they are normalised."""

    images_LHWI: Tensor
    device: torch.device
    mean_3: Tensor
    """Mean of each channel over the data set, in [0, 1]."""
    std_3: Tensor
    stored_N: Tensor | None = None
    """Where each of the N images is among the L, beside them; None where they are all."""

    def __len__(self) -> int:
        return len(self.images_LHWI if self.stored_N is None else self.stored_N)

    @property
    def size_px(self) -> int:
        """Side of the images."""
        return self.images_LHWI.shape[1]

    def only(self, row_M: Tensor) -> Pixels:
        """Some of the images, without a copy."""
        return replace(self, stored_N=self._stored(self.beside(row_M)))

    def normalisation(self) -> dict[str, NDArray[np.float32]]:
        """Mean and deviation of each channel, to be recorded under the names of :data:`NORMALISATION`."""
        return {name: getattr(self, name).cpu().numpy() for name in NORMALISATION}

    def beside(self, rows: Tensor) -> Tensor:
        """Row numbers where the images are held; the host may have to wait for them, so ask between steps."""
        return rows.to(self.images_LHWI.device)

    def on_device(self, row_B: Tensor) -> Tensor:
        """Row numbers where everything else is, without waiting."""
        return _bring(row_B, self.device)

    def take(self, row_B: Tensor) -> Tensor:
        """uint8 images of rows, on the device, shape (B, H, W, 3); no wait where the rows are :meth:`beside` them."""
        if self.images_LHWI.device == self.device:
            return self.images_LHWI.index_select(0, self._stored(row_B))  # indexing copies value by value on a CPU
        is_pinned = self.device.type == "cuda"
        shape = (len(row_B), *self.images_LHWI.shape[1:])
        x_BHWI = torch.empty(shape, dtype=torch.uint8, pin_memory=is_pinned)
        torch.index_select(self.images_LHWI, 0, self._stored(row_B.cpu()), out=x_BHWI)
        return x_BHWI.to(self.device, non_blocking=is_pinned)

    def normalise(self, x_BIHW: Tensor) -> Tensor:
        """Centre and scale images in [0, 1]."""
        return (x_BIHW - self.mean_3[:, None, None]) / self.std_3[:, None, None]

    def restore(self, x_BIHW: Tensor) -> Tensor:
        """Undo :meth:`normalise` and round to uint8."""
        x_BIHW = x_BIHW.float() * self.std_3[:, None, None] + self.mean_3[:, None, None]
        return (255 * x_BIHW).round().clamp(0, 255).to(torch.uint8)

    def random(self, x_BHWI: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
        """Normalised random views of images :meth:`take` gave; ``channels_last``, as large as the augmentation says."""
        view = sample_view(augmentation, len(x_BHWI), self.size_px, self.size_px, generator=generator)
        return self.normalise(apply_view(x_BHWI, view, size_px=augmentation.side_px(self.size_px)))

    def fixed(self, x_BHWI: Tensor, view: FixedView) -> Tensor:
        """Normalised images under one fixed view, ``channels_last``."""
        return self.normalise(view(x_BHWI))

    def patches(self, row_P: Tensor, top_P: Tensor, left_P: Tensor, side_px: int) -> Tensor:
        """Normalised square pieces of these rows' images, shape (P, 3, side, side); no other pixel is touched."""
        row_P, top_P, left_P = map(self.beside, (row_P, top_P, left_P))
        row_P = self._stored(row_P)
        side = torch.arange(side_px, device=row_P.device)
        down_PS1, right_P1S = (top_P[:, None] + side)[:, :, None], (left_P[:, None] + side)[:, None, :]
        patch_PSSI = self.images_LHWI[row_P[:, None, None], down_PS1, right_P1S].to(self.device)
        return self.normalise(patch_PSSI.to(torch.float32).permute(0, 3, 1, 2) / 255)

    def _stored(self, rows: Tensor) -> Tensor:
        return rows if self.stored_N is None else self.stored_N[rows]


def channel_statistics(images_NHWI: Images) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over some of the images, evenly spread; in [0, 1], shape (3,).

    Levels are counted, so no sum loses digits however many pixels there are.
    """
    num, (height, width) = len(images_NHWI), images_NHWI.shape[1:3]
    most = min(max(SAMPLED_VALUES // (height * width), FEWEST_SAMPLED), SAMPLED_IMAGES)
    count_3L = np.zeros((3, 256))
    for row in range(0, num, -(-num // most)):
        count_3L += np.bincount((images_NHWI[row] + LEVELS_3).ravel(), minlength=3 * 256).reshape(3, 256)
    share_3L, level_L = count_3L / count_3L.sum(axis=1, keepdims=True), np.arange(256) / 255
    mean_3 = share_3L @ level_L
    std_3 = np.sqrt((share_3L * (level_L - mean_3[:, None]) ** 2).sum(axis=1)).clip(min=1e-3)
    return torch.from_numpy(mean_3).float(), torch.from_numpy(std_3).float()


def load_pixels(
    images_NHWI: Images, device: torch.device, *, statistics: tuple[Tensor, Tensor] | None = None
) -> Pixels:
    """Hand the store's images to a device.

    Args:
        images_NHWI: The images.
        device: Where they are worked on; they are held there too where they fit.
        statistics: Mean and deviation of the channels to normalise by; by default those of the images.
    """
    mean_3, std_3 = channel_statistics(images_NHWI) if statistics is None else statistics
    rows = images_NHWI if isinstance(images_NHWI, ImageRows) else ImageRows(images_NHWI)
    normalised_by = {"mean_3": mean_3.to(device), "std_3": std_3.to(device)}
    if device.type == "cuda" and rows.nbytes <= SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
        return Pixels(images_LHWI=torch.from_numpy(rows[:]).to(device), device=device, **normalised_by)
    stored_N = None if rows.row_N is None else torch.from_numpy(rows.row_N)
    return Pixels(images_LHWI=torch.from_numpy(rows.images_LHWI), device=device, stored_N=stored_N, **normalised_by)


def _bring(rows: Tensor, device: torch.device) -> Tensor:
    """Row numbers on a device; the host does not wait for an accelerator to take them."""
    if rows.device == device:
        return rows
    is_pinned = device.type == "cuda" and rows.device.type == "cpu"
    return (rows.pin_memory() if is_pinned else rows).to(device, non_blocking=is_pinned)


class ShuffledBatches:
    """Full batches of a fresh permutation each epoch, a function of (seed, key, epoch) alone: drawn on the host.

    Args:
        rows_N: Rows to go through, :meth:`~Pixels.beside` the images.
        batch: Rows in a batch; cut to all there are. The rest of an epoch is left out: a last batch of one would break
            batch normalisation.
        seed: The run's seed.
        key: What the batches are for.
    """

    def __init__(self, rows_N: Tensor, batch: int, *, seed: int, key: tuple[str | int, ...]) -> None:
        self.batch = min(batch, len(rows_N))
        self.num_steps = len(rows_N) // self.batch
        self._rows_N = rows_N
        self._seed = seed
        self._key = key
        self._epoch = -1
        self._order_N = rows_N

    def rows(self, epoch: int, step: int) -> Tensor:
        """Rows of one batch, shape (B,), beside the images."""
        if epoch != self._epoch:
            draw = generator(torch.device("cpu"), self._seed, *self._key, "order", epoch)
            order_N = torch.randperm(len(self._rows_N), generator=draw)
            self._order_N = self._rows_N[_bring(order_N, self._rows_N.device)]
            self._epoch = epoch
        return self._order_N[step * self.batch : (step + 1) * self.batch]
