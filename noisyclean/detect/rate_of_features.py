"""The noise rate where no net was trained: two opinions read the same features, a left-out classifier and neighbours.

Both err on the same hard images, and differ the more often the harder the images are. So how often they differ on
images of one sureness tells without any truth how often the pool of both errs there: about twice as often, on features
of six kinds, where a difference counts as far as the neighbours may be right in it. What contradicts the labels beyond
that is noise. It is known best where few errors are: a line through it there is carried on.

Assumptions: the two opinions are about as independent as ridge regression and neighbours on the same features; noise
does not fall as images get less clear, nor does it spare the surest of them by more than half.
``docs/methods/detection.md`` has what was measured.
"""

from __future__ import annotations

import numpy as np

from noisyclean.detect.rate import RateEstimate
from noisyclean.ops.agreement import Z95, share_error
from noisyclean.ops.pooling import margins
from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = ["estimate_from_features"]

NUM_BINS = 10
"""Of the images, from the surest to the least sure."""
FEWEST_ERRORS, ERRORS, MOST_ERRORS = 1.0, 2.0, 4.0
"""Errors of the pool for each difference of the two opinions, where both are rare; first and last for the interval."""
GROWTH = 0.5
"""Beyond where the errors are known noise grows by this part of the line's slope; for the interval by none or twice."""
SPARED = 2.0
"""As many times as frequent as among the surest images wrong labels may be on the whole: they spare clear images."""


def estimate_from_features(
    pooled_NC: FloatArray, label_N: IntArray, outside_N: IntArray, voted_N: IntArray
) -> RateEstimate:
    """Estimate the share of wrong labels.

    Args:
        pooled_NC: Log class probabilities, both opinions pooled.
        label_N: Given class indices.
        outside_N: Class indices by the left-out classifier.
        voted_N: Class indices by the neighbours' votes.
    """
    predicted_N = pooled_NC.argmax(axis=1)
    surest_first = np.argsort(-margins(pooled_NC, predicted_N), kind="stable")
    bins = np.array_split(surest_first, min(NUM_BINS, len(label_N)))
    contradicted_M = _shares(predicted_N != label_N, bins)
    differing_M = _fairness(label_N, outside_N, voted_N) * _shares(outside_N != voted_N, bins)

    def noise(errors: float, growth: float) -> float:
        return _carried_on(contradicted_M, 1 - np.exp(-errors * differing_M), growth)

    rate = min(noise(ERRORS, GROWTH), SPARED * float(contradicted_M[0]))
    sampling = Z95 * share_error(rate, (len(label_N) + 1) // 2)
    return RateEstimate(
        rate=rate,
        low=max(0.0, min(rate, noise(MOST_ERRORS, 0.0)) - sampling),
        high=min(1.0, max(rate, noise(FEWEST_ERRORS, 2.0)) + sampling),
    )


def _shares(which_N: BoolArray, bins: list[IntArray]) -> FloatArray:
    return np.asarray([which_N[rows].mean() for rows in bins])


def _fairness(label_N: IntArray, outside_N: IntArray, voted_N: IntArray) -> float:
    """How often the neighbours are right where the two differ, of as often as were fair: 0 never, 1 half of the time.

    The labels tell: noisy as they are, they side with whoever is right more often.
    """
    differ_N = outside_N != voted_N
    for_voted, for_outside = (1 + int((label_N[differ_N] == said_N[differ_N]).sum()) for said_N in (voted_N, outside_N))
    return min(1.0, 2 * for_voted / (for_voted + for_outside))


def _carried_on(contradicted_M: FloatArray, error_M: FloatArray, growth: float) -> float:
    """The mean of a rising line through the noise of the bins, never above what is contradicted there."""
    right_M = 1 - np.maximum.accumulate(error_M)
    noise_M = (1 - (1 - contradicted_M) / right_M).clip(min=0)
    weight_M = right_M**2 / (right_M**2).sum()  # as the inverse of the variance of the noise
    rank_M = (np.arange(len(error_M)) + 0.5) / len(error_M)
    rank, noise = float(weight_M @ rank_M), float(weight_M @ noise_M)
    spread = float(weight_M @ (rank_M - rank) ** 2)
    slope = max(0.0, float(weight_M @ ((rank_M - rank) * (noise_M - noise))) / max(spread, 1e-12))
    beyond_M = np.maximum(rank_M - 2 * rank, 0)  # on either side of the mean bins weigh the same as far as this
    line_M = noise + slope * (rank_M - beyond_M + growth * beyond_M - rank)
    return float(np.minimum(line_M.clip(0, 1), contradicted_M).mean())
