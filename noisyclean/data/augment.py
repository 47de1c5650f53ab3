"""Batched random views, each image its own: crop, resize and flip as two small matrices, colour as a third.

A crop that is resized and perhaps flipped is linear and separable, so it is ``rows @ image @ columns.T`` with matrices
of the side of the image; brightness, contrast, saturation, hue and grayscale are one 3 x 3 matrix and an offset. All of
a view's randomness is in :class:`ViewParams`, drawn from a generator; :func:`apply_view` is a pure function of it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "Augmentation",
    "FixedView",
    "ViewParams",
    "apply_view",
    "identity_view",
    "sample_view",
    "strong",
    "training_views",
    "weak",
]

LEAST_SIDE_PX = 8
GRAY = (0.299, 0.587, 0.114)
"""Luma weights, ITU-R BT.601."""

# RGB <-> YIQ, ITU-R BT.601 (FCC 1953): hue is a rotation of the I-Q plane, which a matrix can do and HSV cannot.
_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to an image; all off is the plain image."""

    shift: float = 0.0
    """Largest translation in each direction, as a share of the side; the border is reflected (pad and crop)."""
    crop_area: tuple[float, float] | None = None
    """Share of the area a random resized crop keeps, from and to; None leaves the frame alone."""
    flip: bool = False
    """Mirror left and right, half of the time."""
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    """Largest rotation of the hue, in turns."""
    jitter_probability: float = 0.8
    grayscale_probability: float = 0.0
    side: float = 1.0
    """Side of the view, as a share of the image's, in (0, 1]."""

    def side_px(self, size_px: int) -> int:
        """Side of the view of an image of ``size_px``; small nets still have a pixel left at :data:`LEAST_SIDE_PX`."""
        return min(size_px, max(LEAST_SIDE_PX, round(self.side * size_px)))

    def shift_px(self, size_px: int) -> int:
        """Largest translation of an image of ``size_px``: under half of it, because what is reflected lies inside."""
        return min(round(self.shift * size_px), (size_px - 1) // 2)

    @property
    def changes_colour(self) -> bool:
        """Whether any colour operation is on."""
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.grayscale_probability))


def weak(*, shift: float = 1 / 8, flip: bool = True) -> Augmentation:
    """Crop after padding, and flip: the view for classification and for guessing.

    Args:
        shift: Of the side; an eighth is the usual 4 of 32 pixels.
        flip: Off for oriented classes such as digits.
    """
    return Augmentation(shift=shift, flip=flip)


def strong(*, flip: bool = True, colour: bool = True) -> Augmentation:
    """SimCLR's view (https://arxiv.org/abs/2002.05709), without blur as usual for small images.

    Args:
        flip: Off for oriented classes such as digits.
        colour: Off for gray images: hue, saturation and grayscale go, brightness and contrast stay.
    """
    return Augmentation(
        crop_area=(0.2, 1.0),
        flip=flip,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4 if colour else 0.0,
        hue=0.1 if colour else 0.0,
        grayscale_probability=0.2 if colour else 0.0,
    )


@dataclass(frozen=True, kw_only=True)
class ViewParams:
    """One drawn view of each image of a batch; every tensor has B rows."""

    top_B: Tensor
    """First row of the crop, in pixels; may be outside the image, which is then reflected."""
    left_B: Tensor
    height_B: Tensor
    width_B: Tensor
    flip_B: Tensor
    brightness_B: Tensor | None = None
    contrast_B: Tensor | None = None
    colour_B33: Tensor | None = None
    """Saturation, hue and grayscale; None where colour is left alone."""


def identity_view(num: int, height: int, width: int, *, device: torch.device) -> ViewParams:
    """The view that changes nothing."""
    zero_B = torch.zeros(num, device=device)
    return ViewParams(
        top_B=zero_B,
        left_B=zero_B,
        height_B=torch.full_like(zero_B, height),
        width_B=torch.full_like(zero_B, width),
        flip_B=zero_B.bool(),
    )


@dataclass(frozen=True, kw_only=True)
class FixedView:
    """A view without chance: the same small shift, and perhaps mirror, for all images."""

    down_px: int = 0
    right_px: int = 0
    flip: bool = False

    def __call__(self, x_BHWI: Tensor) -> Tensor:
        """The view of each uint8 image: float in [0, 1], shape (B, 3, H, W), ``channels_last``.

        As :func:`apply_view` would make it, without resampling: pixels are only moved.
        """
        height, width = x_BHWI.shape[1:3]
        if self.down_px:
            x_BHWI = x_BHWI.index_select(1, _shifted(height, self.down_px, x_BHWI.device))
        if self.right_px:
            x_BHWI = x_BHWI.index_select(2, _shifted(width, self.right_px, x_BHWI.device))
        if self.flip:
            x_BHWI = x_BHWI.flip(2)
        return x_BHWI.to(torch.float32).permute(0, 3, 1, 2) / 255


def _shifted(num: int, by: int, device: torch.device) -> Tensor:
    """Which pixel of a line stands at each place after a shift; reflected at the border."""
    last = num - 1
    return last - (last - (torch.arange(num, device=device) + by).abs()).abs()


def sample_view(
    augmentation: Augmentation, num: int, height: int, width: int, *, generator: torch.Generator
) -> ViewParams:
    """Draw a view for each of ``num`` images of ``height`` x ``width`` pixels, on the generator's device.

    Deviations: torchvision draws a crop again when it does not fit, up to ten times; here its sides are cut to fit.
    """
    device = generator.device

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(num, generator=generator, device=device) * (high - low) + low

    view = identity_view(num, height, width, device=device)
    top_B, left_B, height_B, width_B = view.top_B, view.left_B, view.height_B, view.width_B
    if augmentation.crop_area is not None:
        area_B = uniform(*augmentation.crop_area) * (height * width)
        ratio_B = uniform(math.log(3 / 4), math.log(4 / 3)).exp()
        height_B = (area_B / ratio_B).sqrt().round().clamp(1, height)
        width_B = (area_B * ratio_B).sqrt().round().clamp(1, width)
        top_B = (uniform() * (height - height_B + 1)).floor()
        left_B = (uniform() * (width - width_B + 1)).floor()
    if augmentation.shift:
        shift_px = augmentation.shift_px(min(height, width))
        reach = 2 * shift_px + 1
        top_B = top_B + (uniform() * reach).floor() - shift_px
        left_B = left_B + (uniform() * reach).floor() - shift_px
    flip_B = uniform() < 0.5 if augmentation.flip else view.flip_B
    if not augmentation.changes_colour:
        return ViewParams(top_B=top_B, left_B=left_B, height_B=height_B, width_B=width_B, flip_B=flip_B)

    jitter_B = (uniform() < augmentation.jitter_probability).float()

    def factor(strength: float) -> Tensor:
        return 1 + jitter_B * uniform(-strength, strength)

    brightness_B, contrast_B = factor(augmentation.brightness), factor(augmentation.contrast)
    saturation_B = factor(augmentation.saturation)
    turn_B = jitter_B * uniform(-augmentation.hue, augmentation.hue)
    saturation_B = torch.where(uniform() < augmentation.grayscale_probability, 0.0, saturation_B)
    return ViewParams(
        top_B=top_B,
        left_B=left_B,
        height_B=height_B,
        width_B=width_B,
        flip_B=flip_B,
        brightness_B=brightness_B,
        contrast_B=contrast_B,
        colour_B33=_saturation_matrix(saturation_B) @ _hue_matrix(turn_B),
    )


def apply_view(x_BHWI: Tensor, view: ViewParams, *, size_px: int) -> Tensor:
    """Make the view of each image.

    Args:
        x_BHWI: uint8 images.
        view: One drawn view for each image, on the same device.
        size_px: Side of the result.

    Returns:
        Float images in [0, 1], shape (B, 3, size, size), ``channels_last``.
    """
    height, width = x_BHWI.shape[1:3]
    x_BIHW = x_BHWI.permute(0, 3, 1, 2).to(torch.float32).contiguous()
    rows_BSH = _resampling(view.top_B, view.height_B, height, size_px)
    columns_BSW = _resampling(view.left_B, view.width_B, width, size_px)
    columns_BSW = torch.where(view.flip_B[:, None, None], columns_BSW.flip(1), columns_BSW)
    x_BISS = rows_BSH[:, None] @ x_BIHW @ columns_BSW.transpose(1, 2)[:, None]
    if view.brightness_B is None or view.contrast_B is None or view.colour_B33 is None:
        x_BISS = x_BISS / 255
    else:
        x_BISS = _recolour(x_BISS, view.brightness_B / 255, view.contrast_B, view.colour_B33).clamp(0, 1)
    return x_BISS.contiguous(memory_format=torch.channels_last)


def _resampling(start_B: Tensor, length_B: Tensor, num_in: int, num_out: int) -> Tensor:
    """Rows of weights, one for each output pixel, that resample [start, start + length) of a line of ``num_in`` pixels.

    A triangle as wide as a pixel when enlarging, as an output pixel when shrinking (antialiased), cut at the crop's
    border; a crop that lies partly outside sees the line reflected.

    Returns:
        Shape (B, num_out, num_in); rows sum to 1.
    """
    device = start_B.device
    last = num_in - 1
    start_B11, length_B11 = start_B[:, None, None], length_B[:, None, None]
    scale_B11 = length_B11 / num_out
    centre_BS1 = start_B11 + (torch.arange(num_out, device=device)[:, None] + 0.5) * scale_B11 - 0.5
    centre_BS1 = torch.where(centre_BS1 < -0.5, -centre_BS1, centre_BS1)
    centre_BS1 = torch.where(centre_BS1 > last + 0.5, 2 * last - centre_BS1, centre_BS1)
    pixel = torch.arange(num_in, device=device)
    weight = (1 - (pixel - centre_BS1).abs() / scale_B11.clamp(min=1)).clamp(min=0)
    weight = weight * ((pixel >= start_B11) & (pixel < start_B11 + length_B11))
    total: Tensor = weight.sum(dim=2, keepdim=True)
    return weight / total


def _recolour(x_BIHW: Tensor, brightness_B: Tensor, contrast_B: Tensor, colour_B33: Tensor) -> Tensor:
    """Brightness, contrast about the image's mean gray, then saturation and hue, as one affine map of the channels.

    Gray is a fixed point of saturation and hue, so contrast's offset passes through them unchanged.
    """
    gray_3 = _constants(x_BIHW.device)[0]
    mean_gray_B = (x_BIHW.mean(dim=(2, 3)) @ gray_3) * brightness_B
    matrix_B33 = colour_B33 * (brightness_B * contrast_B)[:, None, None]
    flat = torch.bmm(matrix_B33, x_BIHW.flatten(2)) + ((1 - contrast_B) * mean_gray_B)[:, None, None]
    return flat.view_as(x_BIHW)


def _saturation_matrix(saturation_B: Tensor) -> Tensor:
    gray_33 = _constants(saturation_B.device)[0].expand(3, 3)
    identity_33 = torch.eye(3, device=saturation_B.device)
    share = saturation_B[:, None, None]
    return share * identity_33 + (1 - share) * gray_33


def _hue_matrix(turn_B: Tensor) -> Tensor:
    _, to_yiq_33, to_rgb_33 = _constants(turn_B.device)
    angle_B = turn_B * (2 * math.pi)
    rotation = torch.zeros(len(turn_B), 3, 3, device=turn_B.device)
    rotation[:, 0, 0].fill_(1)
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle_B.cos()
    rotation[:, 1, 2] = -angle_B.sin()
    rotation[:, 2, 1] = angle_B.sin()
    return to_rgb_33 @ rotation @ to_yiq_33


@functools.cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Luma weights, RGB to YIQ and back, on a device once: to bring them there makes an accelerator wait."""
    with torch.inference_mode(False):
        to_yiq_33 = torch.tensor(_TO_YIQ)
        to_rgb_33 = torch.linalg.inv(to_yiq_33)
        return torch.tensor(GRAY).to(device), to_yiq_33.to(device), to_rgb_33.to(device)


def training_views(kind: str, *, is_strong: bool) -> Augmentation:
    """The views of a kind of images: ``natural``, ``grey``, ``oriented`` or ``none``."""
    assert kind != "auto", "measured before anything is trained"
    if kind == "none":
        return Augmentation()
    if is_strong:
        return strong(flip=kind != "oriented", colour=kind != "grey")
    return weak(flip=kind != "oriented")
