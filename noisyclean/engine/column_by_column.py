"""Convolutions whose weights' gradients of tiny feature maps are products, faster in bfloat16 on CPUs without tiles.

oneDNN convolves a map three pixels wide at its peak forwards, and computes the gradient of the kernels at half of that:
it goes along rows of three pixels. Here it is a product of whole batches for each column of the outcome and each row
of the kernel, which leaves out what the zeros around a map would give.

Letters: R rows of pixels of all images, P pixels of a row, each with its channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

__all__ = ["ColumnByColumnConv2d", "convolve", "kernel_gradient"]

WIDEST, LEAST_IMAGES, LEAST_CHANNELS = 3, 64, 128
"""Side of a map up to which it repays itself, and from how many images and channels on (measured:
``docs/measurements-speed.md``)."""


class ColumnByColumnConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 1 that goes column by column for its gradient where that is faster."""

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """What ``nn.Conv2d`` gives; shapes (B, I, H, W) to (B, J, H, W)."""
        is_tiny = max(x_BIHW.shape[2:]) <= WIDEST and len(x_BIHW) >= LEAST_IMAGES
        is_wide = min(self.in_channels, self.out_channels) >= LEAST_CHANNELS and self.bias is None
        if x_BIHW.dtype != torch.bfloat16 or not (is_tiny and is_wide and self.weight.requires_grad):
            return super().forward(x_BIHW)
        return convolve(x_BIHW, self.weight)


def convolve(x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
    """A 3 x 3 convolution with a pixel of zeros around, in the dtype of the maps; differentiable once.

    Args:
        x_BIHW: Maps of shape (B, I, H, W).
        weight_JI33: Kernels of shape (J, I, 3, 3); in float32 they get a gradient that is summed up in it.

    Returns:
        Shape (B, J, H, W).
    """
    y_BJHW: Tensor = _Convolution.apply(x_BIHW, weight_JI33)
    return y_BJHW


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
        ctx.save_for_backward(x_BIHW, weight_JI33)
        return functional.conv2d(x_BIHW, weight_JI33.to(x_BIHW.dtype), padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BJHW: Tensor) -> tuple[Tensor, Tensor]:
        x_BIHW, weight_JI33 = ctx.saved_tensors
        dx_BIHW = conv2d_input(list(x_BIHW.shape), weight_JI33.to(x_BIHW.dtype), dy_BJHW, padding=1)
        return dx_BIHW, kernel_gradient(x_BIHW, dy_BJHW).to(weight_JI33.dtype)


def kernel_gradient(x_BIHW: Tensor, dy_BJHW: Tensor) -> Tensor:
    """The kernels' gradient of a 3 x 3 convolution with a pixel of zeros around.

    Args:
        x_BIHW: Maps of shape (B, I, H, W).
        dy_BJHW: Gradients of the outcome, shape (B, J, H, W).

    Returns:
        Shape (J, I, 3, 3), float32 at least.
    """
    batch, num_in, height, width = x_BIHW.shape
    num_out = dy_BJHW.shape[1]
    x_RP, dy_RP = _rows_first(x_BIHW), _rows_first(dy_BJHW)
    wide = torch.promote_types(x_BIHW.dtype, torch.float32)
    gradient_3JP = torch.zeros(3, num_out, 3 * num_in, dtype=wide, device=x_BIHW.device)
    for column in range(width):
        left, right = max(column - 1, 0), min(column + 2, width)
        own, seen = slice(column * num_out, (column + 1) * num_out), slice(left * num_in, right * num_in)
        taps = slice((left - column + 1) * num_in, (right - column + 1) * num_in)
        for tap, gradient_JP in enumerate(gradient_3JP):
            above, below = max(1 - tap, 0) * batch, max(tap - 1, 0) * batch  # rows that see zeros by this tap
            dy_RJ = dy_RP[above : batch * height - below, own]
            gradient_JP[:, taps] += dy_RJ.T @ x_RP[below : batch * height - above, seen]
    gradient_JI33: Tensor = gradient_3JP.unflatten(2, (3, num_in)).permute(1, 3, 0, 2)
    return gradient_JI33


def _rows_first(x_BIHW: Tensor) -> Tensor:
    """All images' first rows, then all their second ones: neighbouring rows of the maps are then a slice."""
    x_RP: Tensor = x_BIHW.permute(2, 0, 3, 1).flatten(0, 1).flatten(1)
    return x_RP
