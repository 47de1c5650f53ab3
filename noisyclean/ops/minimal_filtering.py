"""Minimal filtering (Winograd, 1980): a short convolution by as few multiplications as there are values to see.

https://arxiv.org/abs/1509.09308, section 4. ``m`` neighbouring outcomes of a kernel of 3 values see ``m + 2`` values; a
convolution is then ``lower @ ((kernel @ g) * (lift @ d))``, and on both axes the maps' Kronecker products do the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["SIDES", "Transforms", "transforms"]

POINTS: dict[int, tuple[int, ...]] = {3: (0, 1, -1, 2), 4: (0, 1, -1, 2, -2)}
"""Where polynomials are evaluated, by ``m``; infinity is one more. Further points would cost more digits."""
SIDES = tuple(POINTS)
"""Sides of a tile's outcome, ``m``."""


@dataclass(frozen=True)
class Transforms:
    """The linear maps of square tiles; S pixels of an outcome, F of what it sees, in rows."""

    lift_FF: Tensor
    kernel_F9: Tensor
    lower_SF: Tensor


@functools.cache
def transforms(side: int, dtype: torch.dtype) -> Transforms:
    """The maps of tiles whose outcome has this side.

    Args:
        side: One of :data:`SIDES`.
        dtype: Of the maps; their entries are rounded once.
    """
    return Transforms(*(torch.kron(table, table).to(dtype) for table in _along_one_axis(POINTS[side])))


def _along_one_axis(points: Sequence[int]) -> list[Tensor]:
    """Maps of shapes (m + 2, m + 2), (m + 2, 3) and (m, m + 2), float64.

    A convolution is the transpose of a product of polynomials, which are multiplied by their values at the points and
    at infinity: kernels are evaluated there, ``lift`` is the transpose of Lagrange's interpolation, and its
    denominators are left to the kernels.
    """
    side = len(points) - 1
    rest = [[other for other in points if other != point] for point in points]
    denominators = [math.prod(point - other for other in others) for point, others in zip(points, rest, strict=True)]
    lift = [[*np.poly(others)[::-1], 0] for others in rest] + [np.poly(points)[::-1]]
    kernel = [[point**i / below for i in range(3)] for point, below in zip(points, denominators, strict=True)]
    lower = [[*(point**i for point in points), i == side - 1] for i in range(side)]
    return [torch.from_numpy(np.asarray(table, dtype=np.float64)) for table in (lift, [*kernel, [0, 0, 1]], lower)]
