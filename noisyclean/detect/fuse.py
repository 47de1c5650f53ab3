"""From opinions on the classes to one calibrated probability for each label, the noise rate and a suggestion.

The method, fair opinion pooling, in five steps; assumptions and measurements are in ``docs/methods/detection.md``:

1. Each opinion's class biases are taken out (:func:`~noisyclean.ops.pooling.balance_classes`); how uneven the
   classes are is settled by going through steps 1 to 4 in turns.
2. The opinions are pooled, trained nets before the left-out classifier (:func:`~noisyclean.ops.pooling.pool_opinions`).
3. The noise rate is read off the images the pool is sure of (:mod:`noisyclean.detect.rate`).
4. The margin of the given label becomes a probability that agrees with that rate (:mod:`noisyclean.detect.calibrate`).
   So far :mod:`noisyclean.detect.judge`.
5. What speaks against a label by more than half is flagged, but for classes that are not recognised at all
   (:mod:`noisyclean.detect.recognition`).

The signals are shown beside the probability; they are not part of it, because every one of them reads the same nets.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit, logsumexp

from noisyclean.detect.calibrate import small_class_offsets
from noisyclean.detect.judge import judge
from noisyclean.detect.recognition import settle_unrecognised
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

__all__ = ["MISLABELLED", "THRESHOLD", "best_other", "fuse", "label_posterior", "transitions"]

THRESHOLD = 0.5
"""Probability of being wrong above which a label is flagged."""
SURE_LOG_ODDS = 12.0
"""Odds of 1 to 160,000: what is surer is told apart, but hardly further away."""
MISLABELLED = "mislabelled"
"""Issue type of what is flagged for its probability."""


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
    judged = judge(evidence)
    log_p_NC, rate = judged.log_p_NC, judged.rate
    p_N = _probability(judged.log_odds_N, label_N)
    suggestion_N, share_N = best_other(log_p_NC, label_N)
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
            rate=rate.rate, low=rate.low, high=rate.high, transition_CC=transitions(p_NC, label_N, p_N)
        ),
        thresholds=dict.fromkeys(classes, THRESHOLD),
        notes=(*judged.notes, *(note for score in scores.values() for note in score.notes)),
    )
    return settle_unrecognised(stats, evidence, classes)


def _probability(log_odds_N: FloatArray, label_N: IntArray) -> FloatArray:
    """With the error rates of small classes drawn to the common one.

    Odds beyond any evidence are drawn together but stay in order, or floats would tie.
    """
    log_odds_N = log_odds_N + small_class_offsets(log_odds_N, label_N)[label_N]
    beyond_N = np.maximum(np.abs(log_odds_N) - SURE_LOG_ODDS, 0)
    probability_N: FloatArray = expit(np.sign(log_odds_N) * (np.abs(log_odds_N) - beyond_N + np.log1p(beyond_N)))
    return probability_N


def best_other(log_p_NC: FloatArray, label_N: IntArray) -> tuple[IntArray, FloatArray]:
    """The most probable class besides the given one, and its share of all classes besides the given one."""
    rows = np.arange(len(label_N))
    other_NC = log_p_NC.copy()
    other_NC[rows, label_N] = -np.inf
    best_N: IntArray = other_NC.argmax(axis=1).astype(np.int64)
    share_N: FloatArray = np.exp(other_NC[rows, best_N] - logsumexp(other_NC, axis=1))
    return best_N, np.minimum(share_N, 1)


def transitions(p_NC: FloatArray, label_N: IntArray, p_N: FloatArray) -> FloatArray:
    """Share of each given class that is really each other class: the wrong part spread by the class probabilities."""
    num_classes = p_NC.shape[1]
    total_CC = np.zeros((num_classes, num_classes))
    np.add.at(total_CC, label_N, label_posterior(p_NC, label_N, p_N))
    total_CC += 1e-12 * np.eye(num_classes)
    share_CC: FloatArray = total_CC / total_CC.sum(axis=1, keepdims=True)
    return share_CC


def label_posterior(p_NC: FloatArray, label_N: IntArray, p_N: FloatArray) -> FloatArray:
    """What each image probably is, shape (N, C): its label, as far as that is right, and else another class.

    Args:
        p_NC: Class probabilities, by which the wrong part is spread over the other classes.
        label_N: Given class indices.
        p_N: Probability that each label is wrong.
    """
    rows = np.arange(len(p_N))
    posterior_NC = p_NC.copy()
    posterior_NC[rows, label_N] = 0
    posterior_NC *= (p_N / np.maximum(posterior_NC.sum(axis=1), 1e-300))[:, None]
    posterior_NC[rows, label_N] = 1 - p_N
    return posterior_NC


def _reasons(
    p_NC: FloatArray, label_N: IntArray, flagged_N: BoolArray, suggestion_N: IntArray, classes: tuple[str, ...]
) -> StrArray:
    reason_N = np.full(len(flagged_N), "", dtype=object)
    for row in np.flatnonzero(flagged_N):
        given, suggested = label_N[row], suggestion_N[row]
        other, own = (f"{classes[name]} ({p_NC[row, name]:.0%})" for name in (suggested, given))
        is_likelier = p_NC[row, suggested] > p_NC[row, given]
        reason_N[row] = (
            f"looks like {other} rather than {own}"
            if is_likelier
            else f"looks less like {own} than others labelled so; next is {other}"
        )
    return reason_N
