"""From opinions on the classes to the log-odds that each label is wrong, and the noise rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noisyclean.detect.calibrate import calibrate
from noisyclean.detect.neighbours import opinion_of_votes
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
from noisyclean.detect.rate_of_two import ERRORS_ALIKE, ERRORS_APART, estimate_by_two
from noisyclean.errors import UsageError
from noisyclean.ops.agreement import Z95, kappa, share_error
from noisyclean.ops.bells import fit_bells
from noisyclean.ops.pooling import HALF_BELIEVED, balance_classes, margins, plausible_shares, pool_opinions
from noisyclean.types import BoolArray, Evidence, FloatArray, IntArray

__all__ = ["Judged", "fair_opinion", "judge"]

TRUST_NETS, TRUST_OUTSIDE = 3.0, 2.0
"""Weight of the trained nets against the left-out classifier's 1, and of that against the neighbours' 1 where both read
features that no label had a part in; ``docs/methods/detection.md`` says why."""
LEAST_AGREEMENT = 0.01
"""Kappa below which an opinion is not weighed less."""
LEAST_HELD_OUT = 50
"""Images the nets did not learn from below which they say nothing of the rest."""
READINGS = (HALF_BELIEVED, 0.0, 0.25, 0.75, 1.0)
"""How much of the labels' unevenness may be believed; the first where nothing speaks clearly for another."""
CLEARLY = 1.1
"""How many times as far another reading must set right and wrong labels apart."""
MOST_TIMES = 2.0
"""As many labels may be wrong as the opinions contradict before they are balanced, times this."""
NOTED = 0.5
"""Doubt of the noise rate from which on the user hears of it."""
LITTLE_RECOGNISED = (
    "few images are recognised: a label that looks wrong may be the right one of an unusual image, so the noise rate "
    "is a guess; more images, a larger --size, or --init pretrained:NAME tell more"
)


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
    right and the wrong labels stand further apart. It was so on every uneven set tried (``docs/log.md``). A reading
    that calls far more labels wrong than the opinions contradict as they come is not believed: it has cut a large class
    in two.

    Args:
        evidence: With at least one opinion, ``log_p_NC`` or ``outside_log_p_NC``.

    Raises:
        UsageError: There is none.
    """
    opinions = _Opinions(evidence)
    most = _most_wrong(opinions.pooled(), evidence)
    readings = {share_C.tobytes(): share_C for share_C in map(opinions.plausible_shares, READINGS)}
    judgements = (_judge_by(opinions, share_C, evidence) for share_C in readings.values())
    best = next(judgements)
    distance = CLEARLY * _distance(best, evidence.label_N)
    for other in judgements:
        apart = _distance(other, evidence.label_N)
        if best.rate.rate > max(most, other.rate.rate):
            best, distance = other, CLEARLY * apart
        elif other.rate.rate <= most and apart > distance:
            best, distance = other, apart
    return best


class _Opinions:
    """The opinions that exist, and what they say together under given class shares.

    Raises:
        UsageError: There is none.
    """

    def __init__(self, evidence: Evidence) -> None:
        nets_NC, outside_NC = evidence.log_p_NC, evidence.outside_log_p_NC
        if nets_NC is None and outside_NC is None:
            raise UsageError("no opinion on the classes was recorded", hint="Give class probabilities or embeddings.")
        weighed = [(nets_NC, TRUST_NETS), (outside_NC, 1.0)]
        self.errors: float | None = None
        """Of the pool for each difference of two opinions that have not seen the labels they judge; None of others."""
        if outside_NC is not None and evidence.votes_NC is not None:
            weighed = _weigh_left_out(evidence, outside_NC, opinion_of_votes(evidence.votes_NC))
            self.errors = ERRORS_ALIKE if nets_NC is None else ERRORS_APART
        self._opinions: list[FloatArray] = [opinion.astype(np.float64) for opinion, _ in weighed if opinion is not None]
        self._weights = [weight for opinion, weight in weighed if opinion is not None]
        self._label_N = evidence.label_N
        self._share_C: FloatArray = np.bincount(self._label_N, minlength=evidence.num_classes) / len(self._label_N)
        self._disagreements: dict[bytes, float] = {}

    def pooled(self, share_C: FloatArray | None = None) -> FloatArray:
        """Log-probabilities (N, C), float64, each opinion balanced to these shares first; None for as they come."""
        return self.pool(self._opinions if share_C is None else self.balanced(share_C))

    def balanced(self, share_C: FloatArray) -> list[FloatArray]:
        """Each opinion, balanced to these shares."""
        return [balance_classes(opinion, share_C) for opinion in self._opinions]

    def pool(self, opinions: Sequence[FloatArray]) -> FloatArray:
        """Pool opinions as they are."""
        return pool_opinions(opinions, self._weights)

    def plausible_shares(self, believed: float) -> FloatArray:
        """The class shares, where so much of the labels' unevenness is believed, in [0, 1].

        How uneven the classes really are is hidden by the noise. Half of the disagreement between labels and pool
        counts as noise (:func:`~noisyclean.ops.pooling.plausible_shares`), the other half as errors.
        """
        share_C = self._share_C
        for _ in range(2):
            share_C = plausible_shares(self._share_C, self._disagreement(share_C) / 2, believed)
        return share_C

    def _disagreement(self, share_C: FloatArray) -> float:
        """Share of the labels contradicted under these class shares; found once for each."""
        key = share_C.tobytes()
        if key not in self._disagreements:
            self._disagreements[key] = float(np.mean(self.pooled(share_C).argmax(axis=1) != self._label_N))
        return self._disagreements[key]


def _weigh_left_out(
    evidence: Evidence, outside_NC: FloatArray, voted_NC: FloatArray
) -> list[tuple[FloatArray | None, float]]:
    """Two opinions with their weights: of a classifier and neighbours on features, or of given probabilities and these.

    Probabilities and features weigh by the square of their agreement with the labels beyond chance: nobody has to know
    which are better.
    """
    if evidence.log_p_NC is None:
        return [(outside_NC, TRUST_OUTSIDE), (voted_NC, 1.0)]
    of_features_NC = pool_opinions([outside_NC, voted_NC], [TRUST_OUTSIDE, 1.0])
    agreements = (
        (said_NC, kappa(said_NC.argmax(axis=1), evidence.label_N, evidence.num_classes)[0])
        for said_NC in (evidence.log_p_NC, of_features_NC)
    )
    return [(said_NC, max(agreement, LEAST_AGREEMENT) ** 2) for said_NC, agreement in agreements]


def fair_opinion(evidence: Evidence, *, believed: float = HALF_BELIEVED) -> FloatArray:
    """Pool the opinions that exist, each balanced over the classes; log-probabilities (N, C), float64.

    Args:
        evidence: With at least one opinion.
        believed: How much of the labels' unevenness is, in [0, 1].

    Raises:
        UsageError: There is no opinion.
    """
    opinions = _Opinions(evidence)
    return opinions.pooled(opinions.plausible_shares(believed))


def _most_wrong(log_p_NC: FloatArray, evidence: Evidence) -> float:
    """The largest noise rate to be believed, in view of opinions as they come; of images no net has learnt, if any."""
    held_N = _held_out(evidence)
    asked_N = held_N if held_N.any() else ~held_N
    contradicted = float(np.mean(log_p_NC[asked_N].argmax(axis=1) != evidence.label_N[asked_N]))
    return MOST_TIMES * contradicted + Z95 * share_error(contradicted, int(asked_N.sum()))


def _distance(judged: Judged, label_N: IntArray) -> float:
    """Of the bells of right and of wrong labels, in their width."""
    against_N = -margins(judged.log_p_NC, label_N)
    return fit_bells(against_N, share=judged.rate.rate, is_share_free=True).distance


def _judge_by(opinions: _Opinions, share_C: FloatArray, evidence: Evidence) -> Judged:
    balanced = opinions.balanced(share_C)
    log_p_NC = opinions.pool(balanced)
    against_N = -margins(log_p_NC, evidence.label_N)
    notes: tuple[str, ...] = ()
    if opinions.errors is not None:
        said = (opinion_NC.argmax(axis=1) for opinion_NC in balanced)
        better, worse = sorted(said, key=lambda said_N: float(np.mean(said_N != evidence.label_N)))
        estimate = estimate_by_two(log_p_NC, evidence.label_N, better, worse, errors=opinions.errors)
        rate = count_if_apart(estimate, against_N)
    else:
        rate, notes = _rate(log_p_NC, against_N, evidence)
    held_N = _held_out(evidence)
    log_odds_N = np.empty_like(against_N)
    for part_N in (held_N, ~held_N) if held_N.any() else (~held_N,):
        log_odds_N[part_N] = calibrate(against_N[part_N], rate.rate).log_odds(against_N[part_N])
    return Judged(log_p_NC=log_p_NC, rate=rate, notes=notes, log_odds_N=log_odds_N)


def _rate(log_p_NC: FloatArray, against_N: FloatArray, evidence: Evidence) -> tuple[RateEstimate, tuple[str, ...]]:
    """The noise rate; where the nets have memorised labels it is read off the images they did not learn from."""
    held_N = _held_out(evidence)
    learnt = _rate_of(~held_N, log_p_NC, evidence)
    unseen = _rate_of_unseen(held_N, log_p_NC, evidence) if held_N.any() else learnt
    if unseen.low <= learnt.high:
        rate = count_if_apart(learnt, against_N)
        return rate, (LITTLE_RECOGNISED,) if rate.doubt > NOTED else ()
    disagrees_N = log_p_NC.argmax(axis=1) != evidence.label_N
    note = (
        "the nets have memorised labels: they contradict "
        f"{disagrees_N[~held_N].mean():.1%} of the labels they may know and "
        f"{disagrees_N[held_N].mean():.1%} of the {held_N.sum():,} held out, off which the noise rate is read"
    )
    return unseen, (note,)


def _rate_of_unseen(held_N: BoolArray, log_p_NC: FloatArray, evidence: Evidence) -> RateEstimate:
    """The noise rate of images the nets did not learn from.

    Nets know right labels by heart too, and err on unseen images by themselves. How many labels are wrong at most, the
    left-out classifier says where it is surest.
    """
    unseen = _rate_of(held_N, log_p_NC, evidence)
    witness_NC = evidence.outside_log_p_NC if evidence.witness_log_p_NC is None else evidence.witness_log_p_NC
    return unseen if witness_NC is None else cap_by_surest(unseen, witness_NC, evidence.label_N)


def _rate_of(part_N: BoolArray, log_p_NC: FloatArray, evidence: Evidence) -> RateEstimate:
    """The noise rate of some of the images."""
    pooled_NC, label_N = log_p_NC[part_N], evidence.label_N[part_N]
    predicted_N = pooled_NC.argmax(axis=1)
    confidence_N = margins(pooled_NC, predicted_N)
    estimate = estimate_rate(confidence_N, predicted_N != label_N)
    if evidence.outside_log_p_NC is None:
        return estimate
    if evidence.log_p_NC is None:
        return cap_by_surest(estimate, pooled_NC, label_N)
    nets_N, outside_N = evidence.log_p_NC.argmax(axis=1), evidence.outside_log_p_NC.argmax(axis=1)
    agrees_N, held_N = predicted_N == outside_N[part_N], _held_out(evidence)
    if not held_N[part_N].any():
        clear_N = agrees_N & are_surest(margins(evidence.outside_log_p_NC[part_N], outside_N[part_N]), CLEAR)
        estimate = count_missing(estimate, confidence_N, predicted_N != label_N, clear_N)
    capped = cap_by_agreement(estimate, evidence.label_N, (nets_N, outside_N), evidence.num_classes, asked_N=part_N)
    if evidence.held_out_N is None or held_N.any():  # it is known what the nets make of unseen images
        return capped
    return doubt_unrecognised(capped, confidence_N, predicted_N != label_N, agrees_N)


def _held_out(evidence: Evidence) -> BoolArray:
    """Which images no net learnt from; none where they are too few to say anything."""
    if evidence.held_out_N is None or evidence.held_out_N.sum() < LEAST_HELD_OUT:
        return np.zeros(len(evidence.label_N), dtype=bool)
    return evidence.held_out_N
