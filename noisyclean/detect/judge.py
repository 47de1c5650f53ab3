"""From opinions on the classes to the log-odds that each label is wrong, and the noise rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noisyclean.detect.calibrate import calibrate
from noisyclean.detect.rate import RateEstimate, cap_by_agreement, count_if_apart, estimate_rate
from noisyclean.errors import UsageError
from noisyclean.ops.bells import fit_bells
from noisyclean.ops.pooling import HALF_BELIEVED, balance_classes, margins, plausible_shares, pool_opinions
from noisyclean.types import BoolArray, Evidence, FloatArray, IntArray

__all__ = ["Judged", "fair_opinion", "judge"]

TRUST_NETS = 3.0
"""Weight of the trained nets against the left-out classifier's 1; ``docs/methods/detection.md`` says why."""
LEAST_HELD_OUT = 50
"""Images the nets did not learn from below which they say nothing of the rest."""
READINGS = (HALF_BELIEVED, 0.0, 0.25, 0.75, 1.0)
"""How much of the labels' unevenness may be believed; the first where nothing speaks clearly for another."""
CLEARLY = 1.1
"""How many times as far another reading must set right and wrong labels apart."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is known of every label before it is flagged."""

    log_p_NC: FloatArray
    """The pooled opinion."""
    rate: RateEstimate
    notes: tuple[str, ...]
    log_odds_N: FloatArray
    """That each label is wrong; images the nets learnt from and held-out ones each calibrated by their own."""


def judge(evidence: Evidence) -> Judged:
    """Judge every label, under the class shares that make most sense of the labels.

    Noise that takes its share of every true class moves labels from the large classes to the small ones, and noise that
    takes one class for another makes even classes uneven. Which it was shows in the answer: under the right shares the
    right and the wrong labels stand further apart. It was so on every uneven set tried (``docs/log.md``).

    Args:
        evidence: With at least one opinion, ``log_p_NC`` or ``outside_log_p_NC``.

    Raises:
        UsageError: There is none.
    """
    best = _judge_believing(evidence, READINGS[0])
    distance = CLEARLY * _distance(best, evidence.label_N)
    for believed in READINGS[1:]:
        other = _judge_believing(evidence, believed)
        if (apart := _distance(other, evidence.label_N)) > distance:
            best, distance = other, apart
    return best


def _distance(judged: Judged, label_N: IntArray) -> float:
    """Of the bells of right and of wrong labels, in their width."""
    against_N = -margins(judged.log_p_NC, label_N)
    return fit_bells(against_N, share=judged.rate.rate, is_share_free=True).distance


def _judge_believing(evidence: Evidence, believed: float) -> Judged:
    log_p_NC = fair_opinion(evidence, believed=believed)
    against_N = -margins(log_p_NC, evidence.label_N)
    rate, notes = _rate(log_p_NC, against_N, evidence)
    held_N = _held_out(evidence)
    log_odds_N = np.empty_like(against_N)
    for part_N in (held_N, ~held_N) if held_N.any() else (~held_N,):
        log_odds_N[part_N] = calibrate(against_N[part_N], rate.rate).log_odds(against_N[part_N])
    return Judged(log_p_NC=log_p_NC, rate=rate, notes=notes, log_odds_N=log_odds_N)


def fair_opinion(evidence: Evidence, *, believed: float = HALF_BELIEVED) -> FloatArray:
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
        "the nets have memorised labels: they contradict "
        f"{disagrees_N[~held_N].mean():.1%} of the labels they may know and "
        f"{disagrees_N[held_N].mean():.1%} of the {held_N.sum():,} held out, whose noise rate counts for all"
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
