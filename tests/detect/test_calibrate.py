"""From scores to probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from noisyclean.detect.calibrate import calibrate, images_of_prior, small_class_offsets
from noisyclean.types import BoolArray, FloatArray, IntArray


def two_bells(rate: float, distance: float = 3.0, num: int = 5_000) -> tuple[FloatArray, BoolArray]:
    draw = np.random.default_rng(0)
    wrong = draw.random(num) < rate
    return draw.normal(0, 1, num) + distance * wrong, wrong


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.45])
def test_two_bells_are_calibrated(rate: float) -> None:
    score, wrong = two_bells(rate)
    p = expit(calibrate(score, rate).log_odds(score))
    assert p.mean() == pytest.approx(rate, abs=0.01)
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (p >= low) & (p < low + 0.25)
        assert p[inside].mean() == pytest.approx(wrong[inside].mean(), abs=0.08)


@given(rate=st.floats(0.001, 0.9), seed=st.integers(0, 100))
def test_is_strictly_monotone_and_its_mean_is_the_rate(rate: float, seed: int) -> None:
    score = np.random.default_rng(seed).normal(0, 2, 300)
    calibration = calibrate(score, rate)
    assert calibration.slope > 0
    assert expit(calibration.log_odds(score)).mean() == pytest.approx(max(rate, 1 / 600), abs=1e-4)


def test_one_bell_is_not_split_in_two() -> None:
    score, _ = two_bells(0.0)
    p = expit(calibrate(score, 0.01).log_odds(score))
    assert (p > 0.5).mean() < 0.01


def test_equal_scores_get_the_rate() -> None:
    score = np.zeros(50)
    assert expit(calibrate(score, 0.3).log_odds(score)) == pytest.approx(0.3, abs=1e-4)


def make_classes(means: list[float], sizes: list[int]) -> tuple[FloatArray, IntArray]:
    draw = np.random.default_rng(0)
    log_odds = np.concatenate([draw.normal(mean, 1, size) for mean, size in zip(means, sizes, strict=True)])
    return log_odds, np.repeat(np.arange(len(sizes)), sizes)


def beta_images(rates: list[float], sizes: list[int]) -> float:
    total = sum(sizes)
    common = sum(rate * size for rate, size in zip(rates, sizes, strict=True)) / total
    spread = -(len(sizes) - 1) * common * (1 - common)
    effective = float(total)
    for rate, size in zip(rates, sizes, strict=True):
        spread += size * (rate - common) ** 2
        effective -= size**2 / total
    return common * (1 - common) * effective / spread - 1


def test_small_classes_are_drawn_to_the_common_rate_and_keep_their_order() -> None:
    sizes = [4_000, 500, 10]
    log_odds, label = make_classes([-2, -1, 2], sizes)
    before = expit(log_odds)
    shifted = expit(log_odds + small_class_offsets(log_odds, label)[label])
    added = beta_images([before[label == given].mean() for given in range(3)], sizes)
    assert 5 < added < 100
    assert shifted[:4_000] == pytest.approx(before[:4_000], abs=0.005)
    expected = (10 * before[-10:].mean() + added * before.mean()) / (10 + added)
    assert shifted[-10:].mean() == pytest.approx(expected, abs=1e-4)
    assert (np.argsort(shifted[-10:]) == np.argsort(before[-10:])).all()


def test_the_more_the_rates_of_classes_differ_the_less_they_are_drawn_together() -> None:
    def moved(spread: float) -> float:
        log_odds, label = make_classes([-2, -2 + spread, -2 - spread, 1], [300, 300, 300, 10])
        offset = small_class_offsets(log_odds, label)
        return abs(float(offset[-1]))

    assert moved(0.0) > 2 * moved(2.0) > 0


def test_classes_of_one_rate_are_drawn_together_as_far_as_can_be() -> None:
    log_odds = np.concatenate([np.linspace(-3, 0, 50), np.linspace(-3, 0, 50), np.linspace(-3, 1, 3)])
    label = np.repeat([0, 2, 3], [50, 50, 3])
    shifted = expit(log_odds + small_class_offsets(log_odds, label)[label])
    assert shifted[-3:].mean() == pytest.approx(expit(log_odds).mean(), abs=0.01)
    assert small_class_offsets(log_odds, label)[1] == 0


def test_clear_evidence_is_not_overridden_by_how_many_of_a_class_are_wrong() -> None:
    """Six classes of fifty, of which by chance from three to eighteen are wrong, all of it plain to see."""
    num_wrong = (3, 6, 9, 12, 15, 18)
    label = np.repeat(np.arange(6), 50)
    wrong = np.concatenate([np.arange(50) < num for num in num_wrong])
    log_odds = np.where(wrong, 10.0, -10.0) + np.random.default_rng(0).normal(size=len(label))
    shifted = log_odds + small_class_offsets(log_odds, label)[label]
    assert ((shifted > 0) == wrong).all()
    assert shifted[wrong].min() > shifted[~wrong].max() + 10


def test_the_prior_is_worth_as_many_images_as_the_rates_were_drawn_with() -> None:
    draw = np.random.default_rng(0)
    rate_C = draw.beta(2.0, 6.0, 400)  # a beta prior of eight images
    label = np.repeat(np.arange(400), 60)
    p = (draw.random(len(label)) < rate_C[label]).astype(float)
    assert images_of_prior(p, label) == pytest.approx(8, rel=0.17)
    assert images_of_prior(p, draw.permutation(label)) > 200
    assert images_of_prior((label < 100).astype(float), label) == pytest.approx(0, abs=0.02)
