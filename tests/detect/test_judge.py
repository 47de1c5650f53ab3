"""What the labels' unevenness is taken for."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.special import log_softmax

from noisyclean.detect.judge import judge
from noisyclean.pipeline.estimate import JUDGING_BYTES
from noisyclean.types import Evidence, FloatArray, IntArray

NUM, CLASSES = 3_000, 3


def confident_opinion(true_N: IntArray, draw: np.random.Generator) -> FloatArray:
    """Right about every image, at odds of about ten to one."""
    p_NC = 0.05 + 0.1 * draw.random((len(true_N), CLASSES))
    p_NC[np.arange(len(true_N)), true_N] += 1
    log_p_NC: FloatArray = np.log(p_NC / p_NC.sum(axis=1, keepdims=True))
    return log_p_NC


@pytest.mark.parametrize("num", [90, NUM])
def test_a_third_of_one_class_taken_for_another_is_found_and_counted(num: int) -> None:
    draw = np.random.default_rng(0)
    true_N = np.arange(num) % CLASSES
    label_N = true_N.copy()
    label_N[np.flatnonzero(true_N == 1)[::3]] = 2
    is_wrong_N = label_N != true_N
    judged = judge(Evidence(label_N=label_N, num_classes=CLASSES, log_p_NC=confident_opinion(true_N, draw)))
    assert judged.rate.low <= is_wrong_N.mean() <= judged.rate.high
    assert judged.rate.rate == pytest.approx(is_wrong_N.mean(), abs=0.01)
    assert ((judged.log_odds_N > 0) == is_wrong_N).all()


def test_a_tail_with_errors_in_every_true_class_is_left_uneven() -> None:
    draw = np.random.default_rng(1)
    true_N = np.repeat(np.arange(CLASSES), (2_000, 900, 100))
    label_N = np.where(draw.random(NUM) < 0.2, (true_N + draw.integers(1, CLASSES, NUM)) % CLASSES, true_N)
    judged = judge(Evidence(label_N=label_N, num_classes=CLASSES, log_p_NC=confident_opinion(true_N, draw)))
    assert judged.rate.rate == pytest.approx((label_N != true_N).mean(), abs=0.01)
    assert ((judged.log_odds_N > 0) == (label_N != true_N)).mean() > 0.99


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_a_large_class_is_not_cut_in_two_where_hardly_a_label_is_wrong(share: float, rate: float) -> None:
    """Two classes whose posterior is known, six deviations apart; balanced, a part of the large one looks wrong."""
    draw = np.random.default_rng(3)
    true_N = (draw.random(NUM) < share).astype(np.int64)
    value_N = draw.normal(size=NUM) + 6 * true_N
    odds_N = 6 * value_N - 18 + np.log(share / (1 - share))
    log_p_NC = -np.logaddexp(0, np.stack([odds_N, -odds_N], axis=1))
    is_wrong_N = draw.random(NUM) < rate
    label_N = np.where(is_wrong_N, 1 - true_N, true_N)
    judged = judge(Evidence(label_N=label_N, num_classes=2, log_p_NC=log_p_NC))
    assert judged.rate.rate < rate + 0.01
    assert ((judged.log_odds_N > 0) != is_wrong_N).mean() < 0.01


@pytest.mark.parametrize("is_even", [True, False])
def test_judging_takes_no_more_memory_than_is_said(is_even: bool) -> None:
    draw, num, num_classes = np.random.default_rng(2), 4_000, 50
    share_C = np.full(num_classes, 1 / num_classes) if is_even else draw.dirichlet(np.ones(num_classes))
    true_N = draw.choice(num_classes, num, p=share_C)
    label_N = np.where(draw.random(num) < 0.2, draw.integers(0, num_classes, num), true_N)
    opinions = [
        log_softmax(4 * np.eye(num_classes)[true_N] + draw.normal(size=(num, num_classes)), axis=1).astype(np.float32)
        for _ in range(2)
    ]
    evidence = Evidence(label_N=label_N, num_classes=num_classes, log_p_NC=opinions[0], outside_log_p_NC=opinions[1])
    tracemalloc.start()
    try:
        judge(evidence)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / (num * num_classes) < JUDGING_BYTES


def opinion_of(shown_N: IntArray, effort_N: FloatArray, strength: float, draw: np.random.Generator) -> FloatArray:
    """What is shown, the less surely the more effort an image takes, in [0, 1]."""
    surely_N = strength * (1.2 - effort_N)
    noise_NC = draw.normal(size=(len(shown_N), CLASSES))
    log_p_NC: FloatArray = log_softmax(surely_N[:, None] * np.eye(CLASSES)[shown_N] + noise_NC, axis=1)
    return log_p_NC


def little_recognised(num_held_out: int | None) -> Evidence:
    """Right labels; both opinions err on the less sure images, often on the same ones."""
    draw, num = np.random.default_rng(4), 600
    true_N, effort_N = draw.integers(0, CLASSES, num), draw.random(num)
    shown_N = np.where(draw.random(num) < 0.6 * effort_N, (true_N + 1) % CLASSES, true_N)
    log_p_NC, outside_NC = (opinion_of(shown_N, effort_N, strength, draw) for strength in (5.0, 1.0))
    held_out_N = None if num_held_out is None else np.arange(num) < num_held_out
    return Evidence(
        label_N=true_N, num_classes=CLASSES, log_p_NC=log_p_NC, outside_log_p_NC=outside_NC, held_out_N=held_out_N
    )


def test_nets_of_few_images_that_recognise_little_are_doubted_and_it_is_said() -> None:
    judged = judge(little_recognised(18))
    certain = judge(little_recognised(None))  # opinions that were given
    assert certain.rate.rate > 0.15
    assert not certain.notes
    assert judged.rate.rate < 0.75 * certain.rate.rate
    assert judged.rate.low == 0
    assert judged.rate.high == certain.rate.high
    assert "few images are recognised" in judged.notes[0]


def test_nets_that_held_out_images_vouch_for_are_not_doubted() -> None:
    assert judge(little_recognised(100)).rate.doubt == 0


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_knowing_right_labels_by_heart_is_no_noise(noise: float) -> None:
    """Nets that say what they were told, and guess two unseen images in five."""
    draw, num = np.random.default_rng(6), 4_000
    true_N, effort_N = draw.integers(0, CLASSES, num), draw.random(num)
    label_N = np.where(draw.random(num) < noise, (true_N + 1) % CLASSES, true_N)
    is_held_N = draw.random(num) < 0.03
    is_guessed_N = is_held_N & (draw.random(num) < 0.4)
    known_N = np.where(is_guessed_N, draw.integers(0, CLASSES, num), np.where(is_held_N, true_N, label_N))
    evidence = Evidence(
        label_N=label_N,
        num_classes=CLASSES,
        log_p_NC=opinion_of(known_N, effort_N, 8.0, draw),
        outside_log_p_NC=opinion_of(true_N, effort_N, 2.5, draw),
        held_out_N=is_held_N,
    )
    judged = judge(evidence)
    assert judged.rate.rate == pytest.approx(noise, abs=0.06)
    assert any("memorised" in note for note in judged.notes) == (noise > 0)
