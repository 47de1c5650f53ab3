"""From opinions to verdicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import average_precision_score

from noisyclean.detect.fuse import _reasons, fuse, label_posterior
from noisyclean.detect.judge import fair_opinion
from noisyclean.errors import UsageError
from noisyclean.ops.pooling import HALF_BELIEVED, balance_classes, margins, plausible_shares
from noisyclean.types import BoolArray, Evidence, FloatArray

CLASSES = ("ant", "bee", "cat")


def evidence_of(
    num: int = 3_000, *, noise: float = 0.2, strength: float = 4.0, seed: int = 0, shares: tuple[float, ...] = (1, 1, 1)
) -> tuple[Evidence, BoolArray]:
    """Two opinions on images of known class, and labels of which some are wrong."""
    draw = np.random.default_rng(seed)
    true = draw.choice(3, num, p=np.asarray(shares) / sum(shares))
    is_wrong = draw.random(num) < noise
    label = np.where(is_wrong, (true + draw.integers(1, 3, num)) % 3, true).astype(np.int64)

    def opinion(scale: float) -> FloatArray:
        logits = draw.normal(0, 1, (num, 3))
        logits[np.arange(num), true] += scale
        log_p: FloatArray = log_softmax(logits, axis=1)
        return log_p

    nets, outside = opinion(strength), opinion(strength / 2)
    return Evidence(label_N=label, num_classes=3, log_p_NC=nets, outside_log_p_NC=outside), is_wrong


def test_wrong_labels_get_the_higher_probability_and_the_rate_is_near() -> None:
    evidence, is_wrong = evidence_of()
    stats = fuse(evidence, {}, classes=CLASSES)
    assert stats.p_mislabeled_N[is_wrong].mean() > 0.85
    assert stats.p_mislabeled_N[~is_wrong].mean() < 0.05
    assert stats.noise.rate == pytest.approx(is_wrong.mean(), abs=0.03)
    assert stats.noise.low <= stats.noise.rate <= stats.noise.high
    assert stats.p_mislabeled_N.mean() == pytest.approx(stats.noise.rate, abs=0.01)


def test_a_clean_set_is_found_clean() -> None:
    evidence, _ = evidence_of(noise=0.0)
    stats = fuse(evidence, {}, classes=CLASSES)
    assert stats.noise.rate < 0.02
    assert stats.flagged_N.mean() < 0.02


@pytest.mark.parametrize("left_out", ["log_p_NC", "outside_log_p_NC"])
def test_one_opinion_is_enough_and_two_are_better(left_out: str) -> None:
    evidence, is_wrong = evidence_of(strength=3.0)
    alone = dataclasses.replace(evidence, **{left_out: None})  # type: ignore[arg-type]
    both_right, one_right = (
        ((fuse(given, {}, classes=CLASSES).p_mislabeled_N > 0.5) == is_wrong).mean() for given in (evidence, alone)
    )
    assert 0.7 < one_right < both_right


def test_no_opinion_is_an_error() -> None:
    evidence, _ = evidence_of(10)
    with pytest.raises(UsageError, match="no opinion"):
        fuse(dataclasses.replace(evidence, log_p_NC=None, outside_log_p_NC=None), {}, classes=CLASSES)


def test_a_preference_of_the_nets_for_one_class_accuses_nobody() -> None:
    evidence, is_wrong = evidence_of()
    assert evidence.log_p_NC is not None
    assert evidence.outside_log_p_NC is not None
    preference = np.array([3.0, 0.0, 0.0])
    biased = dataclasses.replace(
        evidence,
        log_p_NC=log_softmax(evidence.log_p_NC + preference, axis=1),
        outside_log_p_NC=log_softmax(evidence.outside_log_p_NC + preference, axis=1),
    )
    stats = fuse(biased, {}, classes=CLASSES)
    flagged_C = [stats.flagged_N[(evidence.label_N == c) & ~is_wrong].mean() for c in range(3)]
    assert max(flagged_C) < 0.05


def test_rare_classes_stay_rare() -> None:
    evidence, _ = evidence_of(shares=(30, 10, 1), noise=0.1)
    found = np.exp(fair_opinion(evidence)).mean(axis=0)
    given = np.bincount(evidence.label_N) / len(evidence.label_N)
    assert np.abs(found - given).sum() / 2 < 0.2
    assert found.argmax() == 0


@pytest.mark.parametrize("is_of_true_class", [True, False])
def test_both_kinds_of_noise_in_a_long_tail_are_found(is_of_true_class: bool) -> None:
    draw = np.random.default_rng(0)
    size_C = np.array([4_000, 1_200, 400, 120])
    label = true = np.repeat(np.arange(4), size_C)
    wrong = draw.random(len(true)) < 0.2
    other = np.where(wrong, (true + draw.integers(1, 4, len(true))) % 4, true)
    true, label = (true, other) if is_of_true_class else (other, label)
    # Opinions of a model that knows what it sees of a class, but has learnt how frequent the labels are.
    seen_NC = 3.5 * np.eye(4)[true] + draw.normal(0, 1.3, (len(true), 4))
    share_C = np.bincount(label) / len(label)
    opinion_NC = log_softmax(seen_NC + np.log(share_C), axis=1)
    stats = fuse(Evidence(label_N=label, num_classes=4, log_p_NC=opinion_NC), {}, classes=("a", "b", "c", "d"))
    is_wrong = label != true

    def precision_at(believed: float) -> float:
        against_N = -margins(balance_classes(opinion_NC, plausible_shares(share_C, 0.0, believed)), label)
        return float(average_precision_score(is_wrong, against_N))

    best = max(precision_at(believed) for believed in (0.0, 0.25, 0.5, 0.75, 1.0))
    found = average_precision_score(is_wrong, stats.p_mislabeled_N)
    assert found > (best + precision_at(HALF_BELIEVED)) / 2 - 0.005


def test_probabilities_do_not_tie_and_follow_the_margin() -> None:
    evidence, _ = evidence_of(strength=60.0)
    stats = fuse(evidence, {}, classes=CLASSES)
    assert len(np.unique(stats.p_mislabeled_N)) > 0.99 * len(stats.p_mislabeled_N)
    assert ((stats.p_mislabeled_N > 0) & (stats.p_mislabeled_N < 1)).all()


def test_transitions_are_those_that_were_made() -> None:
    evidence, is_wrong = evidence_of(20_000)
    stats = fuse(evidence, {}, classes=CLASSES)
    assert stats.noise.transition_CC.sum(axis=1) == pytest.approx(1)
    right_C = [1 - is_wrong[evidence.label_N == c].mean() for c in range(3)]
    assert np.diag(stats.noise.transition_CC) == pytest.approx(right_C, abs=0.03)


def test_the_wrong_part_of_a_label_goes_to_the_other_classes() -> None:
    draw = np.random.default_rng(0)
    p_NC, label_N, p_N = draw.dirichlet(np.ones(4), 50), draw.integers(0, 4, 50), draw.random(50)
    posterior_NC = label_posterior(p_NC, label_N, p_N)
    for row in range(50):
        for name in range(4):
            others = sum(p_NC[row, other] for other in range(4) if other != label_N[row])
            expected = 1 - p_N[row] if name == label_N[row] else p_N[row] * p_NC[row, name] / others
            assert posterior_NC[row, name] == pytest.approx(expected)


def test_suggestions_are_other_classes_and_reasons_name_both() -> None:
    evidence, _ = evidence_of()
    stats = fuse(evidence, {}, classes=CLASSES)
    assert (stats.suggestion_N != evidence.label_N).all()
    assert (stats.p_suggested_N <= stats.p_mislabeled_N).all()
    row = int(np.flatnonzero(stats.flagged_N)[0])
    assert CLASSES[evidence.label_N[row]] in stats.reason_N[row]
    assert CLASSES[stats.suggestion_N[row]] in stats.reason_N[row]
    assert (stats.reason_N[~stats.flagged_N] == "").all()


def test_memorised_labels_are_noticed_where_images_were_held_out() -> None:
    evidence, is_wrong = evidence_of(6_000)
    assert evidence.log_p_NC is not None
    held = np.arange(6_000) % 10 == 0
    memorised = evidence.log_p_NC.copy()
    rows = np.flatnonzero(~held)
    memorised[rows, evidence.label_N[rows]] += 8.0
    nets = log_softmax(memorised, axis=1)
    blind = dataclasses.replace(evidence, log_p_NC=nets, outside_log_p_NC=None)
    told = dataclasses.replace(blind, held_out_N=held)
    assert fuse(blind, {}, classes=CLASSES).noise.rate < 0.1
    stats = fuse(told, {}, classes=CLASSES)
    assert stats.noise.low <= is_wrong.mean() <= stats.noise.high
    assert any("memorised" in note for note in stats.notes)
    honest = fuse(dataclasses.replace(evidence, held_out_N=held), {}, classes=CLASSES)
    assert honest.notes == ()


def test_a_reason_says_which_class_is_likelier() -> None:
    p_NC = np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])
    reasons = _reasons(p_NC, np.zeros(3, np.int64), np.array([True, True, False]), np.ones(3, np.int64), ("cat", "dog"))
    assert reasons.tolist() == [
        "looks like dog (80%) rather than cat (20%)",
        "looks less like cat (60%) than others labelled so; next is dog (40%)",
        "",
    ]
