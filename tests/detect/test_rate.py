"""The noise rate, where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from noisyclean.detect.rate import (
    CLEAR,
    RateEstimate,
    are_surest,
    cap_by_agreement,
    cap_by_surest,
    count_if_apart,
    count_missing,
    doubt_unrecognised,
    estimate_rate,
)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 0.45])
@pytest.mark.parametrize("error", [0.0, 0.1, 0.3])
def test_model_errors_on_unsure_images_are_not_taken_for_noise(noise: float, error: float) -> None:
    draw = np.random.default_rng(0)
    num = 20_000
    confidence = draw.random(num)
    is_wrong = draw.random(num) < noise
    errs = draw.random(num) < 2 * error * np.maximum(0.5 - confidence, 0) / 0.5
    found = estimate_rate(confidence, is_wrong ^ errs)
    assert found.rate == pytest.approx(noise, abs=0.02)
    assert found.low - 0.01 <= noise <= found.high + 0.01


def test_noise_that_grows_on_unsure_images_lies_in_the_interval() -> None:
    draw = np.random.default_rng(1)
    confidence = draw.random(20_000)
    is_wrong = draw.random(20_000) < 0.1 + 0.4 * (1 - confidence)
    found = estimate_rate(confidence, is_wrong)
    assert found.low < is_wrong.mean() < found.high
    assert found.rate == pytest.approx(is_wrong.mean(), abs=0.06)


def test_only_the_order_of_the_confidence_counts() -> None:
    draw = np.random.default_rng(2)
    confidence, disagrees = draw.random(999), draw.random(999) < 0.3
    assert estimate_rate(confidence, disagrees) == estimate_rate(np.exp(9 * confidence), disagrees)


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2])
def test_wrong_labels_that_nets_are_less_sure_of_are_counted_by_those_of_clear_images(noise: float) -> None:
    draw = np.random.default_rng(5)
    clarity = draw.random(20_000)
    is_wrong = draw.random(20_000) < noise
    confidence = clarity * np.where(is_wrong & (draw.random(20_000) < 0.5), 0.3, 1)
    clear = are_surest(clarity + draw.normal(0, 0.1, 20_000), CLEAR)
    line = estimate_rate(confidence, is_wrong)
    found = count_missing(line, confidence, is_wrong, clear)
    wrong = is_wrong.mean()
    assert line.rate < 0.8 * wrong < found.rate < 1.03 * wrong
    assert found.low == line.low < wrong < found.high


def test_where_nets_are_as_sure_of_wrong_labels_none_is_missing() -> None:
    draw = np.random.default_rng(6)
    confidence = draw.random(20_000)
    is_wrong = draw.random(20_000) < 0.2
    line = estimate_rate(confidence, is_wrong)
    clear = draw.random(20_000) < CLEAR
    assert count_missing(line, confidence, is_wrong, clear).rate == pytest.approx(line.rate, abs=0.01)


def test_errors_among_unsure_images_alone_are_no_missing_labels() -> None:
    draw = np.random.default_rng(7)
    confidence = draw.random(2_000)
    errs = draw.random(2_000) < np.where(confidence < 0.4, 0.5, 0)
    line = estimate_rate(confidence, errs)
    assert count_missing(line, confidence, errs, draw.random(2_000) < CLEAR) == line


@given(seed=st.integers(0, 1000), num=st.integers(1, 60), noise=st.floats(0, 1), shift=st.floats(-2, 2))
def test_counting_what_is_missing_only_raises(seed: int, num: int, noise: float, shift: float) -> None:
    draw = np.random.default_rng(seed)
    disagrees = draw.random(num) < noise
    confidence = draw.random(num) + shift * disagrees
    line = estimate_rate(confidence, disagrees)
    found = count_missing(line, confidence, disagrees, draw.random(num) < CLEAR)
    assert found.low == line.low <= line.rate <= found.rate <= found.high <= 1
    assert found.high >= line.high


@pytest.mark.parametrize("num", [1, 2, 5])
def test_a_handful_of_images_gives_a_rate_and_an_interval(num: int) -> None:
    found = estimate_rate(np.arange(num, dtype=float), np.zeros(num, dtype=bool))
    assert 0 <= found.low <= found.rate <= found.high <= 1


def test_the_further_bells_stand_apart_the_more_their_shares_count() -> None:
    draw = np.random.default_rng(3)
    is_wrong = draw.random(5_000) < 0.2
    start = RateEstimate(rate=0.16, low=0.12, high=0.24)
    apart = count_if_apart(start, draw.normal(0, 1, 5_000) + 8 * is_wrong)
    assert apart.rate == pytest.approx(is_wrong.mean(), abs=0.003)
    assert count_if_apart(start, draw.normal(0, 1, 5_000) + 2 * is_wrong) == start
    between = count_if_apart(start, draw.normal(0, 1, 5_000) + 5 * is_wrong)
    assert start.rate < between.rate < is_wrong.mean()
    assert between.low < apart.low < apart.high < between.high


def test_two_weak_opinions_that_agree_cap_the_rate() -> None:
    draw = np.random.default_rng(4)
    true = draw.integers(0, 10, 10_000)
    label, first, second = (
        np.where(draw.random(10_000) < wrong, draw.integers(0, 10, 10_000), true) for wrong in (0.4, 0.5, 0.5)
    )
    wrong = np.mean(label != true)
    capped = cap_by_agreement(RateEstimate(rate=0.6, low=0.5, high=0.7), label, (first, second), 10)
    assert capped.rate == pytest.approx(wrong, abs=0.03)
    assert capped.low < wrong < capped.high
    low = RateEstimate(rate=0.2, low=0.1, high=0.3)
    assert cap_by_agreement(low, label, (first, second), 10) == low


def test_an_opinion_that_hardly_sees_anything_caps_nothing() -> None:
    draw = np.random.default_rng(2)
    true = draw.integers(0, 4, 400)
    guesses = np.where(draw.random(400) < 0.04, true, draw.integers(0, 4, 400))
    start = RateEstimate(rate=0.3, low=0.2, high=0.4)
    assert cap_by_agreement(start, true, (true, guesses), 4) == start


def opinions(num: int, reach: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, and which of two opinions' errors; both err more the less sure, by ``reach`` of the images sooner."""
    generator = np.random.default_rng(seed)
    confidence_N = generator.permutation(num).astype(float)
    unsure_N = 1 - confidence_N / num
    first_N, second_N = (generator.random(num) < (unsure_N / reach).clip(0, 0.7) for _ in range(2))
    return confidence_N, first_N, second_N


def test_errors_of_both_opinions_are_hardly_taken_for_noise_where_little_is_recognised() -> None:
    """All labels are right: what contradicts them are the first opinion's errors."""
    confidence_N, first_N, second_N = opinions(1_000, 0.5, seed=0)
    plain = estimate_rate(confidence_N, first_N)
    doubted = doubt_unrecognised(plain, confidence_N, first_N, ~(first_N | second_N))
    assert plain.low > 0.1
    assert doubted.doubt > 0.5
    assert doubted.low < 0.02
    assert doubted.rate < 0.65 * plain.rate
    assert doubted.high == plain.high


def test_where_much_is_recognised_nothing_is_doubted() -> None:
    confidence_N, first_N, second_N = opinions(1_000, 5.0, seed=1)
    noisy_N = np.random.default_rng(2).random(1_000) < 0.3
    plain = estimate_rate(confidence_N, first_N | noisy_N)
    assert doubt_unrecognised(plain, confidence_N, first_N | noisy_N, ~(first_N | second_N)) == plain


@given(seed=st.integers(0, 1_000), num=st.integers(1, 60), reach=st.floats(0.1, 5), noise=st.floats(0, 1))
def test_doubt_only_lowers_and_keeps_the_rate_in_its_interval(seed: int, num: int, reach: float, noise: float) -> None:
    confidence_N, first_N, second_N = opinions(num, reach, seed)
    contradicts_N = first_N | (np.random.default_rng(seed + 1).random(num) < noise)
    plain = estimate_rate(confidence_N, contradicts_N)
    doubted = doubt_unrecognised(plain, confidence_N, contradicts_N, ~(first_N | second_N))
    assert 0 <= doubted.low <= doubted.rate <= plain.rate
    assert doubted.low <= plain.low
    assert doubted.high == plain.high
    assert 0 <= doubted.doubt <= 1


def test_an_opinion_that_contradicts_few_labels_where_it_is_surest_caps_the_rate() -> None:
    """It errs on all but its surest tenth; of that, one label in ten is wrong."""
    draw, num = np.random.default_rng(5), 2_000
    label_N = draw.integers(0, 4, num)
    other_N = (label_N + 1) % 4
    says_N = np.where(np.arange(num) % 100 < 9, label_N, other_N)
    sure_N = np.where(np.arange(num) % 100 < 10, 5.0, 1.0)
    log_p_NC = log_softmax(sure_N[:, None] * np.eye(4)[says_N], axis=1)
    high = RateEstimate(rate=0.4, low=0.3, high=0.5)
    capped = cap_by_surest(high, log_p_NC, label_N)
    assert capped.rate == pytest.approx(0.125)
    assert capped.low == pytest.approx(0.1 - 1.96 * np.sqrt(0.09 / 200))
    assert capped.high == 0.5
    low = RateEstimate(rate=0.05, low=0.0, high=0.1)
    assert cap_by_surest(low, log_p_NC, label_N) == low
