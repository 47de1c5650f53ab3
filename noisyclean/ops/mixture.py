"""A two-component mixture on a line, with the guards that losses need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from noisyclean.types import FloatArray

__all__ = ["TwoComponents", "fit_two_components"]

MOST_FITTED = 100_000
"""More values than this are thinned evenly before fitting; the parameters do not change."""
CAP_QUANTILE = 0.999
"""Values above this quantile are fitted as if they were there: one outlier must not squeeze the rest together."""

LEAST_SEPARATION = 1.0
"""Distance of the means in sums of the widths; equal Gaussians nearer than that have one bump between them."""


@dataclass(frozen=True, kw_only=True)
class TwoComponents:
    """A fitted mixture; component 0 has the smaller mean."""

    weight: tuple[float, float]
    mean: tuple[float, float]
    std: tuple[float, float]
    is_separated: bool
    """Whether there are two bumps to speak of; if not, the posterior is a ranking and no probability."""
    reason: str
    """Why it is not separated; empty when it is."""

    def log_odds_high(self, value_N: FloatArray) -> FloatArray:
        """Log-odds of the component with the larger mean, kept from turning back outside the two means.

        With unequal widths the wide component would win at both ends: below the low mean the odds are not let rise,
        above the high mean not let fall.
        """
        odds_N = self._log_odds(value_N)
        at_low, at_high = self._log_odds(np.asarray(self.mean))
        odds_N = np.where(value_N <= self.mean[0], np.minimum(odds_N, at_low), odds_N)
        return np.where(value_N >= self.mean[1], np.maximum(odds_N, at_high), odds_N)

    def _log_odds(self, value_N: FloatArray) -> FloatArray:
        return self._log_density(value_N, 1) - self._log_density(value_N, 0)

    def _log_density(self, value_N: FloatArray, component: int) -> FloatArray:
        log_density: FloatArray = norm.logpdf(value_N, self.mean[component], self.std[component])
        log_weight = float(np.log(max(self.weight[component], 1e-12)))
        joint: FloatArray = log_density + log_weight
        return joint


def fit_two_components(
    value_N: FloatArray, *, seed: int = 0, cap_quantile: float = CAP_QUANTILE
) -> TwoComponents | None:
    """Fit two Gaussians as DivideMix does (https://arxiv.org/abs/2002.07394, 3.1); None if all values are equal.

    Values are scaled to [0, 1] for the fit, where the variance floor of 5e-4 has its published meaning, and the
    parameters are given in the values' own unit.

    Args:
        value_N: Losses, any finite values.
        seed: Of the k-means start.
        cap_quantile: Where outliers are cut; 1 leaves them, as published.
    """
    low, high = float(value_N.min()), float(np.quantile(value_N, cap_quantile))
    span = high - low
    if span < 1e-8:
        return None
    scaled = (np.minimum(value_N, high) - low) / span
    thinned = np.sort(scaled)[:: -(-len(scaled) // MOST_FITTED)]
    model = GaussianMixture(2, max_iter=200, tol=1e-2, reg_covar=5e-4, random_state=seed).fit(thinned[:, None])
    order = np.argsort(model.means_[:, 0])
    weight = model.weights_[order]
    mean = model.means_[order, 0]
    std = np.sqrt(model.covariances_[order, 0, 0])
    separation = float((mean[1] - mean[0]) / std.sum())
    reason = ""
    if separation < LEAST_SEPARATION:
        reason = f"the two means are only {separation:.2f} widths apart"
    elif weight.min() < 0.02:
        reason = f"one component has only {weight.min():.1%} of the weight"
    return TwoComponents(
        weight=(float(weight[0]), float(weight[1])),
        mean=(float(mean[0] * span + low), float(mean[1] * span + low)),
        std=(float(std[0] * span), float(std[1] * span)),
        is_separated=not reason,
        reason=reason,
    )
