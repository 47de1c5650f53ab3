"""Is an agreement more than chance would give?"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from noisyclean.types import IntArray

__all__ = ["agrees_beyond_chance"]

SURELY = 1e-3
"""Probability with which a guess that knows nothing of the samples passes."""


def agrees_beyond_chance(predicted_N: IntArray, label_N: IntArray, num_classes: int) -> bool:
    """Whether predictions agree with labels more often than they would in another order.

    Chance is the agreement expected of independent draws, each with its own class frequencies; the number of agreements
    is held against the binomial distribution of that chance.

    Args:
        predicted_N: Class indices.
        label_N: Class indices.
        num_classes: C.
    """
    num = len(label_N)
    shares = [np.bincount(classes, minlength=num_classes) / num for classes in (predicted_N, label_N)]
    chance = float((shares[0] * shares[1]).sum())
    num_agreed = int((predicted_N == label_N).sum())
    return bool(binom.sf(num_agreed - 1, num, chance) < SURELY)
