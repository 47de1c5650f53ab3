"""Convolutions of tiny feature maps, faster in float32 on CPUs: a matrix product for every row that a pixel sees.

A 3 x 3 convolution of maps three pixels wide multiplies 81 pairs of pixels, 32 of them with the zeros around it, and
goes along rows too short for its kernels. Products of whole batches leave the zeros out and run at the machine's peak.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["PixelByPixelConv2d", "convolve"]

LARGEST = 5
"""Side of a map up to which it repays itself, and from how many images and channels on (measured:
``docs/measurements-speed.md``)."""
LEAST_IMAGES, LEAST_CHANNELS = 32, 128


class PixelByPixelConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 1 that computes tiny maps in float32 pixel by pixel."""

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """What ``nn.Conv2d`` gives, but for the order of its sums; shapes (B, I, H, W) to (B, J, H, W)."""
        repays = len(x_BIHW) >= LEAST_IMAGES and self.in_channels >= LEAST_CHANNELS and max(x_BIHW.shape[2:]) <= LARGEST
        if not repays or x_BIHW.dtype != torch.float32:
            return super().forward(x_BIHW)
        y_BJHW = convolve(x_BIHW, self.weight)
        return y_BJHW if self.bias is None else y_BJHW + self.bias[:, None, None]


def convolve(x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
    """A 3 x 3 convolution with a pixel of zeros around, by products; differentiable once.

    Args:
        x_BIHW: Maps of shape (B, I, H, W).
        weight_JI33: Kernels of shape (J, I, 3, 3).

    Returns:
        Shape (B, J, H, W), channels last in memory.
    """
    y_BJHW: Tensor = _Convolution.apply(x_BIHW, weight_JI33)
    return y_BJHW


class _Convolution(torch.autograd.Function):
    """Pixels and channels are one axis, P, in maps and kernels: neighbouring pixels of a row are then a slice of it."""

    @staticmethod
    def forward(ctx: Any, x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
        num_out, num_in = weight_JI33.shape[:2]
        ctx.shape = x_BIHW.shape
        x_BP, weight_JP = _pixels_last(x_BIHW), _pixels_last(weight_JI33)
        y_BP = x_BP.new_zeros(len(x_BP), num_out * x_BP.shape[1] // num_in)
        for pixel, seen, part in _views(ctx.shape, num_out):
            y_BP[:, pixel].addmm_(x_BP[:, seen], weight_JP[:, part].T)
        ctx.save_for_backward(x_BP, weight_JP)
        return _channels_second(y_BP, ctx.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BJHW: Tensor) -> tuple[Tensor, Tensor]:
        x_BP, weight_JP = ctx.saved_tensors
        dy_BP = _pixels_last(dy_BJHW)
        dx_BP, dweight_JP = torch.zeros_like(x_BP), torch.zeros_like(weight_JP)
        for pixel, seen, part in _views(ctx.shape, len(weight_JP)):
            dx_BP[:, seen].addmm_(dy_BP[:, pixel], weight_JP[:, part])
            dweight_JP[:, part].addmm_(dy_BP[:, pixel].T, x_BP[:, seen])
        return _channels_second(dx_BP, ctx.shape), dweight_JP.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)


def _views(shape: torch.Size, num_out: int) -> Iterator[tuple[slice, slice, slice]]:
    """Of each pixel of the outcome every row of pixels that it sees: its own place, theirs, and the kernel's part."""
    _, num_in, height, width = shape
    for row, column in itertools.product(range(height), range(width)):
        pixel = row * width + column
        left, right = max(column - 1, 0), min(column + 2, width)
        for seen in range(max(row - 1, 0), min(row + 2, height)):
            first, tap = seen * width + left, 3 * (seen - row + 1) + left - column + 1
            yield (
                slice(pixel * num_out, (pixel + 1) * num_out),
                slice(first * num_in, (first + right - left) * num_in),
                slice(tap * num_in, (tap + right - left) * num_in),
            )


def _pixels_last(x_BIHW: Tensor) -> Tensor:
    x_BP: Tensor = x_BIHW.permute(0, 2, 3, 1).contiguous().flatten(1)
    return x_BP


def _channels_second(x_BP: Tensor, shape: torch.Size) -> Tensor:
    x_BHWI: Tensor = x_BP.unflatten(1, (*shape[2:], -1))
    return x_BHWI.permute(0, 3, 1, 2)
