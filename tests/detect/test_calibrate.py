"""From scores to probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from noisyclean.detect.calibrate import calibrate, small_class_offsets
from noisyclean.types import BoolArray, FloatArray


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


def test_small_classes_are_drawn_to_the_common_rate_and_large_ones_are_not() -> None:
    draw = np.random.default_rng(0)
    label = np.array([0] * 4_000 + [1] * 10)
    log_odds = np.concatenate([draw.normal(-2, 1, 4_000), draw.normal(2, 1, 10)])
    shifted = expit(log_odds + small_class_offsets(log_odds, label)[label])
    before, common = expit(log_odds), expit(log_odds).mean()
    assert shifted[:4_000] == pytest.approx(before[:4_000], abs=0.005)
    assert shifted[4_000:].mean() == pytest.approx((10 * before[4_000:].mean() + 20 * common) / 30, abs=1e-4)
    assert (np.argsort(shifted[4_000:]) == np.argsort(before[4_000:])).all()
