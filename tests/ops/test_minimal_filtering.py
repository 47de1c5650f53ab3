"""Short convolutions by minimal filtering against the sums they are."""

from __future__ import annotations

import itertools

import pytest
import torch

from noisyclean.ops.minimal_filtering import SIDES, transforms
from tests.oracle.convolution import draw


@pytest.mark.parametrize("side", SIDES)
def test_outcomes_are_the_sums_of_a_slow_loop(side: int) -> None:
    seen, kernel = draw(side + 2, side + 2), draw(3, 3, seed=1)
    maps = transforms(side, torch.float64)
    found = maps.lower_SF @ ((maps.kernel_F9 @ kernel.flatten()) * (maps.lift_FF @ seen.flatten()))
    wanted = torch.zeros(side, side, dtype=torch.float64)
    for row, column in itertools.product(range(side), range(side)):
        for down, right in itertools.product(range(3), range(3)):
            wanted[row, column] += kernel[down, right] * seen[row + down, column + right]
    torch.testing.assert_close(found, wanted.flatten())


def test_the_published_maps_of_four_pixels() -> None:
    """https://arxiv.org/abs/1509.09308, section 4.2: the first and the last of each, along one axis."""
    maps = transforms(4, torch.float64)
    assert maps.lift_FF[0, :6].tolist() == [16, 0, -20, 0, 4, 0]
    assert maps.lift_FF[-1, -6:].tolist() == [0, 4, 0, -5, 0, 1]
    assert maps.kernel_F9[0].tolist() == [1 / 16, *[0.0] * 8]
    assert maps.lower_SF[-1, -6:].tolist() == [0, 1, -1, 8, -8, 1]


def test_maps_are_rounded_once() -> None:
    assert (transforms(3, torch.float32).kernel_F9 == transforms(3, torch.float64).kernel_F9.float()).all()
