"""Several opinions on the classes of every sample, made fair to every class and pooled into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from noisyclean.types import FloatArray, IntArray

__all__ = ["HALF_BELIEVED", "balance_classes", "margins", "plausible_shares", "pool_opinions"]

HALF_BELIEVED = 0.5
"""Of the labels' unevenness is believed where nothing speaks for more."""

MOST_BALANCED, MOST_BALANCED_VALUES, LEAST_BALANCED = 50_000, 10_000_000, 20
"""Class biases are found on at most this many samples, evenly spread; of many classes on fewer, but 20 a class."""
SMALLEST = np.finfo(np.float64).tiny
MOST_ROUNDS = 200
TOLERANCE = 1e-4


def margins(log_p_NC: FloatArray, label_N: IntArray) -> FloatArray:
    """Log-probability of each sample's label minus that of its best other class, in nats, shape (N,)."""
    rows = np.arange(len(label_N))
    others_NC = log_p_NC.copy()
    others_NC[rows, label_N] = -np.inf
    difference: FloatArray = log_p_NC[rows, label_N] - others_NC.max(axis=1)
    return difference


def plausible_shares(share_C: FloatArray, movable: float, believed: float = HALF_BELIEVED) -> FloatArray:
    """How frequent the classes may really be, given how frequent their labels are.

    Noise can hide that the classes are even, and it can make uneven ones look more even than they are. Even classes are
    the simplest explanation as long as the noise alone can have made the labels uneven; else the classes are taken to
    be part as uneven as the labels, on a logarithmic scale.

    Args:
        share_C: Shares of the labels; sum to 1. Classes without labels stay empty.
        movable: Share of the labels that noise may have moved from one class to another, in [0, 1].
        believed: That part, in [0, 1].
    """
    present = share_C > 0
    even_C: FloatArray = present / present.sum()
    moved = np.abs(share_C - even_C).sum() / 2
    if moved <= movable:
        return even_C
    between_C = share_C**believed * even_C ** (1 - believed) * present
    shares_C: FloatArray = between_C / between_C.sum()
    return shares_C


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
    num_classes = log_p_NC.shape[1]
    most = min(MOST_BALANCED, max(MOST_BALANCED_VALUES // num_classes, LEAST_BALANCED * num_classes))
    sample_NC = log_p_NC[:: max(1, -(-len(log_p_NC) // most))]
    p_NC = np.exp(sample_NC - sample_NC.max(axis=1, keepdims=True))
    wanted = np.log(np.maximum(target_C, 1e-12))
    bias_C = np.zeros_like(wanted)
    for _ in range(MOST_ROUNDS):
        # The mean of softmax(log p + bias), by two products and without an array as large as p.
        factor_C = np.exp(bias_C - bias_C.max())
        mean_C = factor_C * ((1 / np.maximum(p_NC @ factor_C, SMALLEST)) @ p_NC) / len(p_NC)
        step_C = np.where(target_C > 0, wanted - np.log(np.maximum(mean_C, SMALLEST)), 0.0)
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
