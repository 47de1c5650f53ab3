"""Channel statistics are exact however many pixels there are."""

from __future__ import annotations

import numpy as np
import pytest

from noisyclean.data.batches import FEWEST_SAMPLED, channel_statistics


@pytest.mark.parametrize(("num", "side"), [(7, 5), (9_000, 64), (1_000, 224)])
def test_statistics_are_those_of_the_pixels(num: int, side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    picture[..., 1] //= 3
    mean, std = channel_statistics(np.broadcast_to(picture, (num, side, side, 3)))
    assert mean.numpy() == pytest.approx(picture.mean(axis=(0, 1), dtype=np.float64) / 255, abs=1e-6)
    assert std.numpy() == pytest.approx(picture.std(axis=(0, 1), dtype=np.float64) / 255, abs=1e-6)


def test_the_sample_is_spread_over_all_images() -> None:
    num = 3 * FEWEST_SAMPLED
    level = np.linspace(0, 255, num).astype(np.uint8)
    images = np.broadcast_to(level[:, None, None, None], (num, 512, 512, 3))
    mean, _ = channel_statistics(images)
    assert mean.numpy() == pytest.approx(0.5, abs=0.01)


def test_one_colour_has_a_deviation_to_divide_by() -> None:
    _, std = channel_statistics(np.full((3, 4, 4, 3), 255, dtype=np.uint8))
    assert (std > 0).all()
