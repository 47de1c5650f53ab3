"""Is an agreement more than chance would give?"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from noisyclean.types import IntArray

__all__ = ["agrees_beyond_chance", "chance_agreement"]

SURELY = 1e-3
"""Probability with which a guess that knows nothing of the samples passes."""


def chance_agreement(first_N: IntArray, second_N: IntArray, num_classes: int) -> float:
    """Share of samples on which two judges agree if each draws independently with its own class frequencies."""
    first_C, second_C = (np.bincount(judge_N, minlength=num_classes) / len(judge_N) for judge_N in (first_N, second_N))
    return float((first_C * second_C).sum())


def agrees_beyond_chance(predicted_N: IntArray, label_N: IntArray, num_classes: int) -> bool:
    """Whether predictions agree with labels more often than they would in another order.

    The number of agreements is held against the binomial distribution of :func:`chance_agreement`.

    Args:
        predicted_N: Class indices.
        label_N: Class indices.
        num_classes: C.
    """
    chance = chance_agreement(predicted_N, label_N, num_classes)
    num_agreed = int((predicted_N == label_N).sum())
    return bool(binom.sf(num_agreed - 1, len(label_N), chance) < SURELY)
