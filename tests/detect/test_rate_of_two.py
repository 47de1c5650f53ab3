"""The noise rate by two opinions that have not seen the labels they judge, where it is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from noisyclean.detect.judge import judge
from noisyclean.detect.neighbours import with_votes
from noisyclean.detect.outside import ask_outside
from noisyclean.detect.rate_of_two import ERRORS_ALIKE, estimate_by_two
from noisyclean.ops.metrics import detection_metrics
from noisyclean.types import BoolArray, Evidence, FloatArray, IntArray

CPU = torch.device("cpu")
NUM, CLASSES = 3_000, 6


def features(
    spread: float, seed: int, shares: tuple[float, ...] = (1,) * CLASSES, noise_seed: int = 0
) -> tuple[FloatArray, IntArray]:
    """Clouds that overlap the more the wider they are, each of two parts, so that a line does not tell all apart."""
    draw = np.random.default_rng(seed)
    true_N = draw.choice(CLASSES, NUM, p=np.asarray(shares) / sum(shares))
    centre = draw.normal(size=(2 * CLASSES, 24))
    middle_ND = centre[2 * true_N + draw.integers(0, 2, NUM)]
    own_ND = np.random.default_rng([seed, noise_seed]).normal(size=middle_ND.shape)
    z_ND = middle_ND + spread * (draw.normal(size=middle_ND.shape) + own_ND) / 2**0.5
    return (z_ND / np.linalg.norm(z_ND, axis=1, keepdims=True)).astype(np.float32), true_N


def evidence_of(z_ND: FloatArray, label_N: IntArray) -> Evidence:
    outside = ask_outside(torch.from_numpy(z_ND), label_N, num_classes=CLASSES)
    evidence = Evidence(label_N=label_N, num_classes=CLASSES, z_ND=z_ND, outside_log_p_NC=outside.log_p_NC)
    return with_votes(evidence, num_neighbours=50, device=CPU)


def found_by(score_N: FloatArray, is_wrong_N: BoolArray) -> float:
    """Average precision."""
    return float(detection_metrics(score_N, is_wrong_N)["average_precision"] or 0)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("spread", [0.8, 1.2])
@pytest.mark.parametrize("shares", [(1,) * CLASSES, (8, 4, 4, 2, 2, 1)])
def test_their_own_errors_are_not_taken_for_noise(rate: float, spread: float, shares: tuple[float, ...]) -> None:
    z_ND, true_N = features(spread, seed=0, shares=shares)
    draw = np.random.default_rng(1)
    is_wrong_N = draw.random(NUM) < rate
    label_N = np.where(is_wrong_N, (true_N + draw.integers(1, CLASSES, NUM)) % CLASSES, true_N)
    judged = judge(evidence_of(z_ND, label_N))
    assert judged.rate.rate == pytest.approx(is_wrong_N.mean(), abs=0.03)
    assert judged.rate.low - 0.02 <= is_wrong_N.mean() <= judged.rate.high


def test_both_opinions_find_more_than_the_left_out_classifier_alone() -> None:
    z_ND, true_N = features(1.6, seed=2)
    draw = np.random.default_rng(3)
    is_wrong_N = draw.random(NUM) < 0.2
    label_N = np.where(is_wrong_N, (true_N + draw.integers(1, CLASSES, NUM)) % CLASSES, true_N)
    both = evidence_of(z_ND, label_N)
    alone = Evidence(label_N=label_N, num_classes=CLASSES, outside_log_p_NC=both.outside_log_p_NC)
    assert found_by(judge(both).log_odds_N, is_wrong_N) > found_by(judge(alone).log_odds_N, is_wrong_N) + 0.02


@pytest.mark.parametrize("rate", [0.0, 0.2])
@pytest.mark.parametrize("spread", [(0.9, 1.8), (1.8, 0.9), (1.5, 1.5)])
def test_probabilities_and_features_weigh_by_what_they_are_worth(rate: float, spread: tuple[float, float]) -> None:
    """A model of one view of every thing and features of another, which shares half of what blurs it."""
    (first_ND, true_N), (second_ND, _) = (features(each, 5, noise_seed=index) for index, each in enumerate(spread))
    draw = np.random.default_rng(6)
    is_wrong_N = draw.random(NUM) < rate
    label_N = np.where(is_wrong_N, (true_N + draw.integers(1, CLASSES, NUM)) % CLASSES, true_N)
    of_features = evidence_of(second_ND, label_N)
    probabilities_NC = evidence_of(first_ND, label_N).outside_log_p_NC
    judged = judge(dataclasses.replace(of_features, log_p_NC=probabilities_NC))
    assert judged.rate.rate == pytest.approx(is_wrong_N.mean(), abs=0.06)
    if rate:
        alone = (judge(of_features), judge(evidence_of(first_ND, label_N)))
        found, *others = [found_by(one.log_odds_N, is_wrong_N) for one in (judged, *alone)]
        assert found > max(others) - 0.02
        assert found > sum(others) / 2 + 0.02


def test_neighbours_that_are_never_right_where_the_two_differ_do_not_speak_for_errors() -> None:
    """Of two opinions that differ on a third of the images one is always right: nothing is wrong but the labels."""
    draw = np.random.default_rng(4)
    true_N = draw.integers(0, CLASSES, NUM)
    wrong_N = (true_N + 1) % CLASSES
    label_N = np.where(draw.random(NUM) < 0.2, (true_N + 2) % CLASSES, true_N)
    pooled_NC = np.log(0.02 + 0.88 * np.eye(CLASSES)[true_N]) + 0.1 * draw.normal(size=(NUM, CLASSES))
    voted_N = np.where(draw.random(NUM) < 1 / 3, wrong_N, true_N)
    found = estimate_by_two(pooled_NC, label_N, true_N, voted_N, errors=ERRORS_ALIKE)
    assert found.rate == pytest.approx((label_N != true_N).mean(), abs=0.03)


@pytest.mark.parametrize("num", [1, 2, 7])
def test_few_images_are_no_reason_to_fail(num: int) -> None:
    label_N = np.arange(num) % 2
    found = estimate_by_two(np.log(np.full((num, 2), 0.5)), label_N, label_N, 1 - label_N, errors=2.0)
    assert 0 <= found.low <= found.rate <= found.high <= 1
