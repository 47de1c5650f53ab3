"""From a score to a probability: two bell curves of equal width whose shares are the estimated noise rate's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from noisyclean.ops.bells import fit_bells
from noisyclean.types import FloatArray, IntArray

__all__ = ["Calibration", "calibrate", "images_of_prior", "small_class_offsets"]

LEAST_DISTANCE = 1.0
"""Distance of the two means, in widths, below which the curves are kept apart by this much: without it a nearly clean
set would split its own bell in two."""

LARGEST_OFFSET = 2.0
"""Of a class, in log-odds. Where right and wrong labels stand far apart, only a shift across the whole gap would meet a
rate, and images of which the evidence is clear would change sides."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """``log odds = slope * score + offset``; strictly monotone, so the ranking is the score's."""

    slope: float
    offset: float

    def log_odds(self, score_N: FloatArray) -> FloatArray:
        """Of being wrong, shape (N,)."""
        return self.slope * score_N + self.offset


def calibrate(score_N: FloatArray, rate: float) -> Calibration:
    """Fit two Gaussians of one width with the mixing share held at ``rate``, by expectation-maximisation.

    Equal widths make the posterior a logistic function of the score (linear discriminant analysis). The offset is then
    moved so that the mean probability is ``rate`` exactly.

    Args:
        score_N: Log-odds that the label is wrong, roughly; higher is worse.
        rate: Share of wrong labels, in (0, 1).
    """
    edge = 1 / (2 * len(score_N))
    rate = float(np.clip(rate, edge, 1 - edge))
    slope = fit_bells(score_N, share=rate, least_distance=LEAST_DISTANCE).slope
    return Calibration(slope=slope, offset=_offset_for_mean(slope * score_N, rate))


def small_class_offsets(log_odds_N: FloatArray, label_N: IntArray) -> FloatArray:
    """Draw the error rates of small classes towards the common one, shape (C,), to be added to the log-odds.

    Ten images cannot show that seven of them are wrong. A class's mean is shrunk as if some more images of it had the
    common rate (empirical Bayes, beta-binomial): many where the classes' rates hardly differ, few where they do. No
    class is shifted by more than :data:`LARGEST_OFFSET`.

    Args:
        log_odds_N: That each label is wrong.
        label_N: Given class indices.
    """
    p_N = expit(log_odds_N)
    common = float(p_N.mean())
    num_C, sum_C = np.bincount(label_N), np.bincount(label_N, weights=p_N)
    added = images_of_prior(p_N, label_N)
    offset_C = np.zeros(len(num_C))
    for given in np.flatnonzero(num_C):
        shrunk = (sum_C[given] + added * common) / (num_C[given] + added)
        offset_C[given] = _offset_for_mean(log_odds_N[label_N == given], float(shrunk))
    return offset_C.clip(-LARGEST_OFFSET, LARGEST_OFFSET)


def images_of_prior(p_N: FloatArray, label_N: IntArray) -> float:
    """How many images at the common rate a beta prior is worth, by the method of moments; at most all there are.

    The variance between classes is what is left of the spread of their rates after that of drawing so few images
    (analysis of variance with unequal sizes); a beta distribution of ``k`` images has the variance
    ``common (1 - common) / (k + 1)``.
    """
    num_C = np.bincount(label_N)
    has_any_C = num_C > 0
    num_C, sum_C = num_C[has_any_C], np.bincount(label_N, weights=p_N)[has_any_C]
    common, total = float(p_N.mean()), len(p_N)
    drawn = common * (1 - common)
    spread = float((num_C * (sum_C / num_C - common) ** 2).sum()) - (len(num_C) - 1) * drawn
    effective = total - float((num_C**2).sum()) / total
    if spread <= 0 or effective <= 0:
        return total
    return float(np.clip(drawn * effective / spread - 1, 0, total))


def _offset_for_mean(log_odds_N: FloatArray, mean: float) -> float:
    """The shift at which the mean probability is ``mean``, by bisection."""
    low, high = -float(log_odds_N.max()) - 50, -float(log_odds_N.min()) + 50
    for _ in range(100):
        middle = (low + high) / 2
        if expit(log_odds_N + middle).mean() < mean:
            low = middle
        else:
            high = middle
    return (low + high) / 2
