"""More than chance, or not."""

from __future__ import annotations

import numpy as np
import pytest

from noisyclean.ops.chance import agrees_beyond_chance


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_a_shuffled_order_hardly_ever_passes_and_a_noisy_one_always(num_classes: int) -> None:
    draw = np.random.default_rng(0)
    passed = 0
    for _ in range(300):
        label = draw.integers(0, num_classes, 1000)
        passed += agrees_beyond_chance(draw.permutation(label), label, num_classes)
        right = draw.random(1000) < 0.3
        noisy = np.where(right, label, draw.integers(0, num_classes, 1000))
        assert agrees_beyond_chance(noisy, label, num_classes)
    assert passed <= 3


def test_always_the_most_frequent_class_is_chance() -> None:
    """Nine in ten labels agree, and nothing is known."""
    label = np.asarray([0] * 900 + [1] * 100)
    assert not agrees_beyond_chance(np.zeros(1000, dtype=np.int64), label, 2)


def test_a_dozen_perfect_answers_are_enough_and_half_a_dozen_are_not() -> None:
    label = np.asarray([0, 1] * 6)
    assert agrees_beyond_chance(label, label, 2)
    assert not agrees_beyond_chance(label[:6], label[:6], 2)
