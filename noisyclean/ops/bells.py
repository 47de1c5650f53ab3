"""Two bell curves of equal width, fitted to a score by expectation-maximisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from noisyclean.types import FloatArray

__all__ = ["Bells", "fit_bells"]

MOST_ROUNDS = 500
TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Bells:
    """A mixture of two Gaussians of one width."""

    low: float
    high: float
    """Means."""
    width: float
    share: float
    """Of the upper one, in (0, 1)."""

    @property
    def distance(self) -> float:
        """Of the means, in widths."""
        return (self.high - self.low) / self.width

    @property
    def slope(self) -> float:
        """By which the log-odds of the upper curve rise with the score (linear discriminant analysis)."""
        return self.distance / self.width


def fit_bells(score_N: FloatArray, *, share: float, is_share_free: bool = False, least_distance: float = 0.0) -> Bells:
    """Fit, starting from the largest scores.

    Args:
        score_N: Any real numbers.
        share: Of the upper curve, in (0, 1); where to begin where it is free, else held.
        is_share_free: Whether the share is fitted too.
        least_distance: The means are kept this many widths apart.
    """
    edge = 1 / (2 * len(score_N))
    share = float(np.clip(share, edge, 1 - edge))
    spread = max(float(score_N.std()), 1e-9)
    posterior_N = expit(3 * (score_N - np.quantile(score_N, 1 - share)) / spread)
    bells = Bells(low=0.0, high=0.0, width=1.0, share=share)
    for _ in range(MOST_ROUNDS):
        upper = posterior_N.sum()
        high = float((posterior_N @ score_N) / upper)
        low = float(((1 - posterior_N) @ score_N) / (len(score_N) - upper))
        squares = posterior_N @ (score_N - high) ** 2 + (1 - posterior_N) @ (score_N - low) ** 2
        width = max(float(np.sqrt(squares / len(score_N))), 1e-6)
        apart = max(high - low, least_distance * width)
        middle = (high + low) / 2
        share = float(np.clip(upper / len(score_N), edge, 1 - edge)) if is_share_free else share
        bells = Bells(low=middle - apart / 2, high=middle + apart / 2, width=width, share=share)
        updated_N = expit(bells.slope * (score_N - middle) + np.log(share / (1 - share)))
        change = float(np.abs(updated_N - posterior_N).max())
        posterior_N = np.clip(updated_N, 1e-12, 1 - 1e-12)
        if change < TOLERANCE:
            break
    return bells
