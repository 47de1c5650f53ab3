"""More than chance, or not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax

from noisyclean.ops.chance import LEAST_LABELS, deviations_above_chance, fits_beyond_chance
from noisyclean.types import FloatArray, IntArray


def opinion_on(shown_N: IntArray, num_classes: int, *, strength: float = 2.0) -> FloatArray:
    """Log-probabilities, surer of the class that is shown."""
    log_p_NC: FloatArray = log_softmax(strength * np.eye(num_classes)[shown_N], axis=1)
    return log_p_NC


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_a_shuffled_order_hardly_ever_passes_and_a_noisy_one_always(num_classes: int) -> None:
    draw = np.random.default_rng(0)
    passed = 0
    for _ in range(300):
        label = draw.integers(0, num_classes, 1000)
        passed += fits_beyond_chance(opinion_on(draw.permutation(label), num_classes), label)
        right = draw.random(1000) < 0.3
        noisy = np.where(right, label, draw.integers(0, num_classes, 1000))
        assert fits_beyond_chance(opinion_on(noisy, num_classes), label)
    assert passed <= 3


def test_deviations_are_those_of_all_orders() -> None:
    draw = np.random.default_rng(0)
    log_p, label = draw.normal(size=(5, 3)), np.asarray([0, 0, 1, 2, 2])
    means = [log_p[np.arange(5), label[list(order)]].mean() for order in itertools.permutations(range(5))]
    expected = (log_p[np.arange(5), label].mean() - np.mean(means)) / np.std(means)
    assert deviations_above_chance(log_p, label) == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_a_rare_class_that_is_nowhere_the_likeliest_is_seen(share: float) -> None:
    """The fair opinion of two bells two deviations apart."""
    draw = np.random.default_rng(0)
    label = (np.arange(2000) % round(1 / share) == 0).astype(np.int64)
    odds = 2 * (draw.normal(size=2000) + 2 * label) - 2 + np.log(share / (1 - share))
    log_p = -np.logaddexp(0, np.stack([odds, -odds], axis=1))
    assert (log_p.argmax(axis=1) == label).mean() < 1.2 * (1 - share)
    assert fits_beyond_chance(log_p, label)
    assert sum(fits_beyond_chance(log_p[draw.permutation(2000)], label) for _ in range(200)) <= 3


def test_always_the_most_frequent_class_is_chance() -> None:
    """Nine in ten labels agree, and nothing is known."""
    label = np.asarray([0] * 900 + [1] * 100)
    assert not fits_beyond_chance(opinion_on(np.zeros(1000, dtype=np.int64), 2), label)


def test_a_dozen_perfect_answers_are_enough_and_half_a_dozen_are_not() -> None:
    label = np.asarray([0, 1] * 6)
    assert fits_beyond_chance(opinion_on(label, 2), label)
    assert not fits_beyond_chance(opinion_on(label[:6], 2), label[:6])


@pytest.mark.parametrize("num", [LEAST_LABELS - 1, LEAST_LABELS])
def test_from_how_many_labels_on_a_perfect_answer_is_enough(num: int) -> None:
    label = np.arange(num) % 2
    assert fits_beyond_chance(opinion_on(label, 2), label) == (num == LEAST_LABELS)
