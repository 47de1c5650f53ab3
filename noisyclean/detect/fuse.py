"""From opinions on the classes to one calibrated probability for each label, the noise rate and a suggestion.

The method, fair opinion pooling, in five steps; assumptions and measurements are in ``docs/methods/detection.md``:

1. Each opinion's class biases are taken out (:func:`~noisyclean.ops.pooling.balance_classes`); how uneven the
   classes are is settled by going through steps 1 to 4 in turns.
2. The opinions are pooled, trained nets before the left-out classifier (:func:`~noisyclean.ops.pooling.pool_opinions`).
3. The noise rate is read off the images the pool is sure of (:mod:`noisyclean.detect.rate`).
4. The margin of the given label becomes a probability that agrees with that rate (:mod:`noisyclean.detect.calibrate`).
5. What speaks against a label by more than half is flagged, but for classes that are not recognised at all
   (:mod:`noisyclean.detect.recognition`).

The signals are shown beside the probability; they are not part of it, because every one of them reads the same nets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

from noisyclean.detect.calibrate import calibrate, class_correlation, small_class_offsets
from noisyclean.detect.rate import RateEstimate, cap_by_agreement, count_if_apart, estimate_rate
from noisyclean.detect.recognition import settle_unrecognised
from noisyclean.errors import UsageError
from noisyclean.ops.pooling import HALF, balance_classes, margins, plausible_shares, pool_opinions
from noisyclean.types import (
    BoolArray,
    Evidence,
    FloatArray,
    IntArray,
    NoiseEstimate,
    SampleStats,
    SignalScore,
    StrArray,
)

__all__ = ["fair_opinion", "fuse"]

TRUST_NETS = 3.0
"""Weight of the trained nets against the left-out classifier's 1; ``docs/methods/detection.md`` says why."""
LEAST_HELD_OUT = 50
"""Images the nets did not learn from below which they say nothing of the rest."""
MOST_TURNS = 6
SAME_BELIEF = 0.02
THRESHOLD = 0.5
SURE_LOG_ODDS = 12.0
"""Odds of 1 to 160,000: what is surer is told apart, but hardly further away."""
MISLABELLED = "mislabelled"


def fuse(evidence: Evidence, scores: Mapping[str, SignalScore], *, classes: tuple[str, ...]) -> SampleStats:
    """Judge every label.

    Args:
        evidence: With at least one opinion, ``log_p_NC`` or ``outside_log_p_NC``.
        scores: Signals, carried through.
        classes: Names of the classes.

    Raises:
        UsageError: There is no opinion to judge by.
    """
    label_N = evidence.label_N
    judged = _judge_in_turns(evidence)
    log_p_NC, rate = judged.log_p_NC, judged.rate
    p_N = _probability(judged.log_odds_N, label_N)
    suggestion_N, share_N = _best_other(log_p_NC, label_N)
    flagged_N = p_N > THRESHOLD
    p_NC = np.exp(log_p_NC)
    stats = SampleStats(
        p_mislabeled_N=p_N,
        p_NC=p_NC,
        suggestion_N=suggestion_N,
        p_suggested_N=p_N * share_N,
        flagged_N=flagged_N,
        issue_N=np.where(flagged_N, MISLABELLED, "").astype(object),
        reason_N=_reasons(p_NC, label_N, flagged_N, suggestion_N, classes),
        signals=scores,
        noise=NoiseEstimate(
            rate=rate.rate, low=rate.low, high=rate.high, transition_CC=_transitions(p_NC, label_N, p_N)
        ),
        thresholds=dict.fromkeys(classes, THRESHOLD),
        notes=(*judged.notes, *(note for score in scores.values() for note in score.notes)),
    )
    return settle_unrecognised(stats, evidence, classes)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    log_p_NC: FloatArray
    """The pooled opinion."""
    rate: RateEstimate
    notes: tuple[str, ...]
    log_odds_N: FloatArray
    """That each label is wrong; images the nets learnt from and held-out ones each calibrated by their own."""


def _judge_in_turns(evidence: Evidence) -> _Judged:
    """Judge every label; the answer says how much of the labels' unevenness to believe, until both agree.

    Noise that takes its share of every true class moves labels from the large classes to the small ones: error rates of
    given classes then differ widely, and the classes are about as uneven as their labels. Where those error rates are
    alike, the classes are more even.
    """
    believed = HALF
    for _ in range(MOST_TURNS):
        judged = _judge(evidence, believed)
        found = min(1.0, HALF + class_correlation(judged.log_odds_N, evidence.label_N))
        if abs(found - believed) < SAME_BELIEF:
            break
        believed = found
    return judged


def _judge(evidence: Evidence, believed: float) -> _Judged:
    log_p_NC = fair_opinion(evidence, believed=believed)
    against_N = -margins(log_p_NC, evidence.label_N)
    rate, notes = _rate(log_p_NC, against_N, evidence)
    held_N = _held_out(evidence)
    log_odds_N = np.empty_like(against_N)
    for part_N in (held_N, ~held_N) if held_N.any() else (~held_N,):
        log_odds_N[part_N] = calibrate(against_N[part_N], rate.rate).log_odds(against_N[part_N])
    return _Judged(log_p_NC=log_p_NC, rate=rate, notes=notes, log_odds_N=log_odds_N)


def fair_opinion(evidence: Evidence, *, believed: float = HALF) -> FloatArray:
    """Pool the opinions that exist, each balanced over the classes; log-probabilities (N, C), float64.

    How uneven the classes really are is hidden by the noise; :func:`~noisyclean.ops.pooling.plausible_shares` says what
    is assumed. Half of the disagreement between labels and pool counts as noise there, the other half as errors.

    Args:
        evidence: With at least one opinion.
        believed: How much of the labels' unevenness is, in [0, 1].
    """
    given = {"log_p_NC": TRUST_NETS, "outside_log_p_NC": 1.0}
    weights = [weight for name, weight in given.items() if evidence.has(name)]
    opinions = [np.asarray(getattr(evidence, name), dtype=np.float64) for name in given if evidence.has(name)]
    if not opinions:
        raise UsageError("no opinion on the classes was recorded", hint="Give class probabilities or embeddings.")
    share_C = np.bincount(evidence.label_N, minlength=evidence.num_classes) / len(evidence.label_N)
    target_C: FloatArray = share_C
    for _ in range(2):
        pooled_NC = pool_opinions([balance_classes(opinion, target_C) for opinion in opinions], weights)
        disagreement = float(np.mean(pooled_NC.argmax(axis=1) != evidence.label_N))
        target_C = plausible_shares(share_C, disagreement / 2, believed)
    return pool_opinions([balance_classes(opinion, target_C) for opinion in opinions], weights)


def _rate(log_p_NC: FloatArray, against_N: FloatArray, evidence: Evidence) -> tuple[RateEstimate, tuple[str, ...]]:
    """The noise rate; where the nets have memorised labels it is read off the images they did not learn from."""
    held_N = _held_out(evidence)
    learnt = _rate_of(~held_N, log_p_NC, evidence)
    unseen = _rate_of(held_N, log_p_NC, evidence) if held_N.any() else learnt
    if unseen.low <= learnt.high:
        return count_if_apart(learnt, against_N), ()
    disagrees_N = log_p_NC.argmax(axis=1) != evidence.label_N
    note = (
        f"the nets have memorised labels: {disagrees_N[~held_N].mean():.1%} disagree where they learnt, "
        f"{disagrees_N[held_N].mean():.1%} where they did not; the noise rate is that of the {held_N.sum():,} held out"
    )
    return unseen, (note,)


def _rate_of(part_N: BoolArray, log_p_NC: FloatArray, evidence: Evidence) -> RateEstimate:
    """The noise rate of some of the images."""
    pooled_NC, label_N = log_p_NC[part_N], evidence.label_N[part_N]
    top_N2 = np.partition(pooled_NC, -2, axis=1)[:, -2:]
    estimate = estimate_rate(top_N2[:, 1] - top_N2[:, 0], pooled_NC.argmax(axis=1) != label_N)
    if evidence.log_p_NC is None or evidence.outside_log_p_NC is None:
        return estimate
    opinions = evidence.log_p_NC.argmax(axis=1), evidence.outside_log_p_NC.argmax(axis=1)
    return cap_by_agreement(estimate, evidence.label_N, opinions, evidence.num_classes, asked_N=part_N)


def _held_out(evidence: Evidence) -> BoolArray:
    """Which images no net learnt from; none where they are too few to say anything."""
    if evidence.held_out_N is None or evidence.held_out_N.sum() < LEAST_HELD_OUT:
        return np.zeros(len(evidence.label_N), dtype=bool)
    return evidence.held_out_N


def _probability(log_odds_N: FloatArray, label_N: IntArray) -> FloatArray:
    """With the error rates of small classes drawn to the common one.

    Odds beyond any evidence are drawn together but stay in order, or floats would tie.
    """
    log_odds_N = log_odds_N + small_class_offsets(log_odds_N, label_N)[label_N]
    beyond_N = np.maximum(np.abs(log_odds_N) - SURE_LOG_ODDS, 0)
    probability_N: FloatArray = expit(np.sign(log_odds_N) * (np.abs(log_odds_N) - beyond_N + np.log1p(beyond_N)))
    return probability_N


def _best_other(log_p_NC: FloatArray, label_N: IntArray) -> tuple[IntArray, FloatArray]:
    """The most probable class besides the given one, and its share of all classes besides the given one."""
    rows = np.arange(len(label_N))
    other_NC = log_p_NC.copy()
    other_NC[rows, label_N] = -np.inf
    best_N: IntArray = other_NC.argmax(axis=1).astype(np.int64)
    share_N: FloatArray = np.exp(other_NC[rows, best_N] - logsumexp(other_NC, axis=1))
    return best_N, share_N


def _transitions(p_NC: FloatArray, label_N: IntArray, p_N: FloatArray) -> FloatArray:
    """Share of each given class that is really each other class: the wrong part spread by the class probabilities."""
    rows = np.arange(len(p_N))
    other_NC = p_NC.copy()
    other_NC[rows, label_N] = 0
    other_NC *= (p_N / np.maximum(other_NC.sum(axis=1), 1e-300))[:, None]
    other_NC[rows, label_N] = 1 - p_N
    num_classes = p_NC.shape[1]
    total_CC = np.zeros((num_classes, num_classes))
    np.add.at(total_CC, label_N, other_NC)
    total_CC += 1e-12 * np.eye(num_classes)
    share_CC: FloatArray = total_CC / total_CC.sum(axis=1, keepdims=True)
    return share_CC


def _reasons(
    p_NC: FloatArray, label_N: IntArray, flagged_N: BoolArray, suggestion_N: IntArray, classes: tuple[str, ...]
) -> StrArray:
    reason_N = np.full(len(flagged_N), "", dtype=object)
    for row in np.flatnonzero(flagged_N):
        given, suggested = label_N[row], suggestion_N[row]
        reason_N[row] = (
            f"looks like {classes[suggested]} ({p_NC[row, suggested]:.0%}) "
            f"rather than {classes[given]} ({p_NC[row, given]:.0%})"
        )
    return reason_N
