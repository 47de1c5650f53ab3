"""Two bells of equal width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from noisyclean.ops.bells import fit_bells


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_finds_what_the_score_was_drawn_from(share: float) -> None:
    draw = np.random.default_rng(0)
    upper = draw.random(20_000) < share
    score = draw.normal(2, 1.5, 20_000) + 6 * upper
    bells = fit_bells(score, share=0.4, is_share_free=True)
    assert (bells.low, bells.high) == pytest.approx((2, 8), abs=0.15)
    assert bells.width == pytest.approx(1.5, abs=0.05)
    assert bells.share == pytest.approx(share, abs=0.01)
    assert bells.distance == pytest.approx(4, abs=0.15)


def test_the_slope_is_that_of_the_log_odds() -> None:
    bells = fit_bells(np.random.default_rng(1).normal(0, 1, 500) * 2, share=0.3)
    odds = norm.logpdf([0, 1], bells.high, bells.width) - norm.logpdf([0, 1], bells.low, bells.width)
    assert bells.slope == pytest.approx(odds[1] - odds[0])
    assert bells.share == 0.3


def test_the_likelihood_does_not_fall_when_the_share_is_freed() -> None:
    score = np.random.default_rng(2).normal(0, 1, 2_000)
    score[:300] += 3

    def likelihood(is_share_free: bool) -> float:
        bells = fit_bells(score, share=0.5, is_share_free=is_share_free)
        density = bells.share * norm.pdf(score, bells.high, bells.width)
        density += (1 - bells.share) * norm.pdf(score, bells.low, bells.width)
        return float(np.log(density).mean())

    assert likelihood(is_share_free=True) >= likelihood(is_share_free=False)


def test_means_are_kept_apart_as_asked() -> None:
    assert fit_bells(np.zeros(20), share=0.5, least_distance=1.0).distance == pytest.approx(1.0)
