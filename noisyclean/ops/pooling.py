"""Several opinions on the classes of every sample, made fair to every class and pooled into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax, logsumexp

from noisyclean.types import FloatArray, IntArray

__all__ = ["balance_classes", "flattened_shares", "margins", "pool_opinions"]

MOST_BALANCED = 50_000
"""Class biases are found on at most this many samples, evenly spread."""
MOST_ROUNDS = 200
TOLERANCE = 1e-4


def margins(log_p_NC: FloatArray, label_N: IntArray) -> FloatArray:
    """Log-probability of each sample's label minus that of its best other class, in nats, shape (N,)."""
    rows = np.arange(len(label_N))
    others_NC = log_p_NC.copy()
    others_NC[rows, label_N] = -np.inf
    difference: FloatArray = log_p_NC[rows, label_N] - others_NC.max(axis=1)
    return difference


def flattened_shares(share_C: FloatArray, movable: float) -> FloatArray:
    """The most even class shares that can be reached by moving at most a share ``movable`` of all samples.

    Noise can hide how frequent classes really are, by no more than its rate: the largest classes are cut to one level
    and the smallest filled to another, and uniform is the end of it.

    Args:
        share_C: Observed shares; sum to 1. Classes without samples stay empty.
        movable: In [0, 1].
    """
    present = share_C > 0
    share = share_C[present]
    low = _level(share, movable)
    high = -_level(-share, movable)
    even = 1 / len(share)
    flat = np.zeros_like(share_C)
    flat[present] = np.clip(share, min(low, even), max(high, even))
    shares: FloatArray = flat / flat.sum()
    return shares


def _level(value: FloatArray, amount: float) -> float:
    """Height to which ``amount`` fills the lowest of ``value`` up, like water."""
    ordered = np.sort(value)
    below = np.arange(1, len(ordered) + 1)
    heights = (amount + np.cumsum(ordered)) / below
    fits = np.append(heights[:-1] <= ordered[1:], True)
    return float(heights[np.argmax(fits)])


def balance_classes(log_p_NC: FloatArray, target_C: FloatArray) -> FloatArray:
    """Shift each class's log-probability by a constant so that the mean probabilities are ``target_C``.

    A net trained on noisy, uneven labels prefers some classes on every image; against that preference even a right
    label of another class looks wrong. Iterative proportional fitting of the class biases (prior shift, as in Saerens,
    Latinne and Decaestecker, 2002, with the prior given).

    Args:
        log_p_NC: Log-probabilities.
        target_C: Mean probabilities wanted; a class of share 0 is left out of the balance.

    Returns:
        Normalised log-probabilities, shape (N, C).
    """
    sample_NC = log_p_NC[:: max(1, len(log_p_NC) // MOST_BALANCED)]
    wanted = np.log(np.maximum(target_C, 1e-12))
    bias_C = np.zeros_like(wanted)
    for _ in range(MOST_ROUNDS):
        log_mean_C = logsumexp(log_softmax(sample_NC + bias_C, axis=1), axis=0) - np.log(len(sample_NC))
        step_C = np.where(target_C > 0, wanted - log_mean_C, 0.0)
        bias_C += step_C
        if np.abs(step_C).max() < TOLERANCE:
            break
    balanced: FloatArray = log_softmax(log_p_NC + bias_C, axis=1)
    return balanced


def pool_opinions(opinions: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """Logarithmic opinion pool: the normalised weighted geometric mean (Genest and Zidek, 1986).

    Args:
        opinions: Log-probabilities, each (N, C).
        weights: One for each opinion; their sum does not matter.
    """
    total = sum(weights)
    pooled = sum(weight / total * opinion for weight, opinion in zip(weights, opinions, strict=True))
    normalised: FloatArray = log_softmax(pooled, axis=1)
    return normalised
