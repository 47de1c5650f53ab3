"""Convolutions of small feature maps, faster on CPUs that multiply matrices in tiles (AMX).

oneDNN's kernels go along the rows of a feature map, sixteen pixels to a tile, so a map three pixels wide leaves most
of every tile empty. Maps laid side by side, a column of zeros between, are one wide map with the same convolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SideBySideConv2d"]

IN_A_ROW = 16
"""Maps laid side by side, where the batch can be divided by it."""
WIDEST_TRAINED, WIDEST = 8, 4
"""Widths up to which it repays the copying, with the gradients to come and without (measured:
``docs/measurements-speed.md``)."""


class SideBySideConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 1 that lays small maps in bfloat16 side by side."""

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """What ``nn.Conv2d`` gives, but for the order of its sums; shapes (B, I, H, W) to (B, J, H, W)."""
        widest = WIDEST_TRAINED if torch.is_grad_enabled() else WIDEST
        repays = x_BIHW.dtype == torch.bfloat16 and x_BIHW.shape[3] <= widest
        num = math.gcd(len(x_BIHW), IN_A_ROW) if repays else 1
        if num == 1:
            return super().forward(x_BIHW)
        return apart(super().forward(side_by_side(x_BIHW, num)), num)


def side_by_side(x_BIHW: Tensor, num: int) -> Tensor:
    """Rows of ``num`` maps, a column of zeros to the right of each.

    Args:
        x_BIHW: Maps of shape (B, I, H, W).
        num: A divisor of B.

    Returns:
        Shape (B / num, I, H, num * (W + 1)), channels last in memory.
    """
    padded_BHWI = functional.pad(x_BIHW.permute(0, 2, 3, 1), (0, 0, 0, 1))
    x_RHWI: Tensor = padded_BHWI.unflatten(0, (-1, num)).transpose(1, 2).flatten(2, 3)
    return x_RHWI.permute(0, 3, 1, 2)


def apart(x_RIHW: Tensor, num: int) -> Tensor:
    """The maps of :func:`side_by_side` again, without the columns between; channels last in memory, without gaps.

    A single row could be split without a copy, but normalisation takes five times as long for maps with gaps.
    """
    x_RHNWI: Tensor = x_RIHW.permute(0, 2, 3, 1).unflatten(2, (num, -1))
    x_BHWI = x_RHNWI[..., :-1, :].transpose(1, 2).flatten(0, 1)
    return x_BHWI.contiguous().permute(0, 3, 1, 2)
