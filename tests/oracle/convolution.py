"""A 3 x 3 convolution, one pixel at a time, and maps to convolve."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def slowly_convolved(x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
    """Every output pixel by itself, zeros around the map."""
    num, _, height, width = x_BIHW.shape
    y_BJHW = torch.zeros(num, len(weight_JI33), height, width, dtype=x_BIHW.dtype)
    for row in range(height):
        for column in range(width):
            for down in range(3):
                for right in range(3):
                    i, j = row + down - 1, column + right - 1
                    if 0 <= i < height and 0 <= j < width:
                        y_BJHW[:, :, row, column] += x_BIHW[:, :, i, j] @ weight_JI33[:, :, down, right].T
    return y_BJHW
