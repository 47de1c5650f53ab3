"""From the signals to one probability for each label, a threshold, the noise rate and a suggestion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit
from scipy.stats import norm, rankdata

from noisyclean.ops.mixture import fit_two_components
from noisyclean.types import Evidence, FloatArray, IntArray, NoiseEstimate, SampleStats, SignalScore, StrArray

__all__ = ["fuse"]


def fuse(evidence: Evidence, scores: Mapping[str, SignalScore], *, classes: tuple[str, ...]) -> SampleStats:
    """Fuse the signals.

    Normal scores of the signals are averaged, and a two-component mixture on the average gives the probability.
    """
    assert evidence.p_NC is not None
    normal_scores = [norm.ppf((rankdata(score.raw_N) - 0.5) / len(score.raw_N)) for score in scores.values()]
    fused_N = np.mean(normal_scores, axis=0)
    mixture = fit_two_components(scores["logit_margin"].raw_N)
    assert mixture is not None
    p_N = np.sort(expit(mixture.log_odds_high(scores["logit_margin"].raw_N)))[rankdata(fused_N, method="ordinal") - 1]
    suggestion_N = _suggest(evidence.p_NC, evidence.label_N)
    flagged_N = p_N >= 0.5
    rate = float(p_N.mean())
    return SampleStats(
        p_mislabeled_N=p_N,
        p_NC=evidence.p_NC,
        suggestion_N=suggestion_N,
        p_suggested_N=evidence.p_NC[np.arange(len(p_N)), suggestion_N],
        flagged_N=flagged_N,
        issue_N=np.where(flagged_N, "mislabelled", "").astype(object),
        reason_N=_reasons(evidence, flagged_N, suggestion_N, classes),
        signals=scores,
        noise=NoiseEstimate(rate=rate, low=rate, high=rate, transition_CC=_transitions(evidence, p_N)),
        notes=tuple(note for score in scores.values() for note in score.notes),
    )


def _suggest(p_NC: FloatArray, label_N: IntArray) -> IntArray:
    others = p_NC.copy()
    others[np.arange(len(label_N)), label_N] = -1
    best_N: IntArray = others.argmax(axis=1).astype(np.int64)
    return best_N


def _transitions(evidence: Evidence, p_N: FloatArray) -> FloatArray:
    """Share of each given class that is really each other class: the wrong part spread by the net's probabilities."""
    assert evidence.p_NC is not None
    rows = np.arange(len(p_N))
    other_NC = evidence.p_NC.astype(np.float64)
    other_NC[rows, evidence.label_N] = 0
    other_NC *= (p_N / np.maximum(other_NC.sum(axis=1), 1e-12))[:, None]
    other_NC[rows, evidence.label_N] = 1 - p_N
    total_CC = np.zeros((evidence.num_classes, evidence.num_classes))
    np.add.at(total_CC, evidence.label_N, other_NC)
    share: FloatArray = total_CC / np.maximum(total_CC.sum(axis=1, keepdims=True), 1e-12)
    return share


def _reasons(evidence: Evidence, flagged_N: np.ndarray, suggestion_N: IntArray, classes: tuple[str, ...]) -> StrArray:
    assert evidence.p_NC is not None
    reason_N = np.full(len(flagged_N), "", dtype=object)
    for row in np.flatnonzero(flagged_N):
        given, suggested = evidence.label_N[row], suggestion_N[row]
        reason_N[row] = (
            f"looks like {classes[suggested]} ({evidence.p_NC[row, suggested]:.0%}) "
            f"rather than {classes[given]} ({evidence.p_NC[row, given]:.0%})"
        )
    return reason_N
