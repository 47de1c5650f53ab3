"""The noise rate by two opinions neither of which has seen the labels it judges.

Both err on the same hard images, and differ the more often the harder the images are. So how often they differ on
images of one sureness tells without any truth how often the pool of both errs there: nearly as often where they come
from different sources, about twice as often where both read the same features; a difference counts as far as the
worse one may be right in it. What contradicts the labels beyond that is noise. It is known best where few errors are: a
line through it there is carried on.

Assumptions: the opinions are about as independent as the ones it was measured on
(``docs/methods/detection.md``); noise does not fall as images get less clear, nor does it spare the surest of them by
more than half.
"""

from __future__ import annotations

import numpy as np

from noisyclean.detect.rate import RateEstimate
from noisyclean.ops.agreement import Z95, share_error
from noisyclean.ops.pooling import margins
from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = ["ERRORS_ALIKE", "ERRORS_APART", "estimate_by_two"]

NUM_BINS = 10
"""Of the images, from the surest to the least sure."""
ERRORS_APART, ERRORS_ALIKE = 0.8, 2.0
"""Errors of the pool for each difference of the two opinions, where both are rare: of opinions from different sources,
and of those that read the same features. Half and twice as many for the interval."""
SPARED = 2.0
"""As many times as frequent as among the surest images wrong labels may be on the whole: they spare clear images."""


def estimate_by_two(
    pooled_NC: FloatArray, label_N: IntArray, better_N: IntArray, worse_N: IntArray, *, errors: float
) -> RateEstimate:
    """Estimate the share of wrong labels.

    Args:
        pooled_NC: Log class probabilities, both opinions pooled.
        label_N: Given class indices.
        better_N: Class indices by the opinion that agrees with the labels more often.
        worse_N: Class indices by the other one.
        errors: Of the pool for each difference, :data:`ERRORS_APART` or :data:`ERRORS_ALIKE`.
    """
    predicted_N = pooled_NC.argmax(axis=1)
    surest_first = np.argsort(-margins(pooled_NC, predicted_N), kind="stable")
    bins = np.array_split(surest_first, min(NUM_BINS, len(label_N)))
    contradicted_M = _shares(predicted_N != label_N, bins)
    differing_M = _fairness(label_N, better_N, worse_N) * _shares(better_N != worse_N, bins)

    def noise(times: float) -> float:
        return _carried_on(contradicted_M, 1 - np.exp(-times * errors * differing_M))

    rate = min(noise(1.0), SPARED * float(contradicted_M[0]))
    sampling = Z95 * share_error(rate, (len(label_N) + 1) // 2)
    return RateEstimate(
        rate=rate,
        low=max(0.0, min(rate, noise(2.0)) - sampling),
        high=min(1.0, max(rate, noise(0.5)) + sampling),
    )


def _shares(which_N: BoolArray, bins: list[IntArray]) -> FloatArray:
    return np.asarray([which_N[rows].mean() for rows in bins])


def _fairness(label_N: IntArray, better_N: IntArray, worse_N: IntArray) -> float:
    """How often the worse opinion is right where the two differ, of as often as were fair: 0 never, 1 half of the time.

    The labels tell: noisy as they are, they side with whoever is right more often.
    """
    differ_N = better_N != worse_N
    for_worse, for_better = (1 + int((label_N[differ_N] == said_N[differ_N]).sum()) for said_N in (worse_N, better_N))
    return min(1.0, 2 * for_worse / (for_worse + for_better))


def _carried_on(contradicted_M: FloatArray, error_M: FloatArray) -> float:
    """The mean of a rising line through the noise of the bins, never above what is contradicted there."""
    right_M = 1 - np.maximum.accumulate(error_M)
    noise_M = (1 - (1 - contradicted_M) / right_M).clip(min=0)
    weight_M = right_M**2 / (right_M**2).sum()  # as the inverse of the variance of the noise
    rank_M = np.linspace(0, 1, len(error_M))
    rank, noise = float(weight_M @ rank_M), float(weight_M @ noise_M)
    spread = float(weight_M @ (rank_M - rank) ** 2)
    slope = max(0.0, float(weight_M @ ((rank_M - rank) * (noise_M - noise))) / max(spread, 1e-12))
    line_M = noise + slope * (rank_M - rank)
    return float(np.minimum(line_M.clip(0, 1), contradicted_M).mean())
