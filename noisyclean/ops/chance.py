"""Is an agreement more than chance would give?"""

from __future__ import annotations

import math

import numpy as np

from noisyclean.types import FloatArray, IntArray

__all__ = ["LEAST_LABELS", "chance_agreement", "deviations_above_chance", "fits_beyond_chance"]

SURELY = 3.09
"""Standard deviations that one order in a thousand passes by chance."""
LEAST_LABELS = 1 + math.ceil(SURELY**2)
"""Labels below which nothing does: no order of N is more than ``sqrt(N - 1)`` above the mean of all."""


def chance_agreement(first_N: IntArray, second_N: IntArray, num_classes: int) -> float:
    """Share of samples on which two judges agree if each draws independently with its own class frequencies."""
    first_C, second_C = (np.bincount(judge_N, minlength=num_classes) / len(judge_N) for judge_N in (first_N, second_N))
    return float((first_C * second_C).sum())


def fits_beyond_chance(log_p_NC: FloatArray, label_N: IntArray) -> bool:
    """Whether an opinion finds labels likelier than it would find them in another order.

    A rare class counts by how much likelier it gets where it is, even if it is nowhere the likeliest.

    Args:
        log_p_NC: Log-probabilities, finite.
        label_N: Class indices; fewer than :data:`LEAST_LABELS` are too few for any opinion.
    """
    return deviations_above_chance(log_p_NC, label_N) > SURELY


def deviations_above_chance(log_p_NC: FloatArray, label_N: IntArray) -> float:
    """The labels' mean log-probability in standard deviations above its mean, both over all orders of the labels.

    Both are exact (Hoeffding, Annals of Mathematical Statistics 1951). 0 where all orders are the same.
    """
    num, num_classes = log_p_NC.shape
    log_p_NC = log_p_NC.astype(np.float64)
    share_C = np.bincount(label_N, minlength=num_classes) / num
    expected_N = log_p_NC @ share_C
    surplus = float((log_p_NC[np.arange(num), label_N] - expected_N).mean())
    deviation_NC = log_p_NC - expected_N[:, None] - log_p_NC.mean(axis=0) + expected_N.mean()
    variance = float((deviation_NC**2 @ share_C).sum()) / (num * max(num - 1, 1))
    return surplus / float(np.sqrt(variance)) if variance > 0 else 0.0
