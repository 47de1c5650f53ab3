from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from noisyclean.ops.mixture import TwoComponents, fit_two_components


def two_bumps(seed: int = 0, share: float = 0.3, num: int = 4000) -> np.ndarray:
    generator = np.random.default_rng(seed)
    high = generator.random(num) < share
    return np.where(high, generator.normal(3, 0.4, num), generator.normal(0.5, 0.3, num))


def test_recovers_two_bumps() -> None:
    mixture = fit_two_components(two_bumps())
    assert mixture is not None
    assert mixture.is_separated
    assert mixture.mean == pytest.approx((0.5, 3), abs=0.1)
    assert mixture.std == pytest.approx((0.3, 0.4), abs=0.1)
    assert mixture.weight[1] == pytest.approx(0.3, abs=0.02)


def test_log_odds_equal_bayes_between_the_means() -> None:
    mixture = fit_two_components(two_bumps())
    assert mixture is not None
    value = np.linspace(mixture.mean[0], mixture.mean[1], 7)[1:-1]
    high, low = (mixture.weight[c] * norm.pdf(value, mixture.mean[c], mixture.std[c]) for c in (1, 0))
    assert np.allclose(mixture.log_odds_high(value), np.log(high / low))


def test_all_equal_values_have_no_mixture() -> None:
    assert fit_two_components(np.full(50, 1.25)) is None


def test_one_bump_is_said_to_be_one() -> None:
    mixture = fit_two_components(np.random.default_rng(0).normal(0, 1, 3000))
    assert mixture is not None
    assert not mixture.is_separated
    assert mixture.reason


def test_one_outlier_changes_little() -> None:
    values = two_bumps()
    plain, spoilt = fit_two_components(values), fit_two_components(np.append(values, 1e4))
    assert plain is not None
    assert spoilt is not None
    assert spoilt.mean == pytest.approx(plain.mean, abs=0.05)


@given(st.floats(0.02, 3), st.floats(0.02, 3), st.floats(0.05, 0.95))
def test_odds_do_not_turn_outside_the_means(low_std: float, high_std: float, weight: float) -> None:
    mixture = TwoComponents(
        weight=(1 - weight, weight), mean=(0.0, 1.0), std=(low_std, high_std), is_separated=True, reason=""
    )
    at_low, at_high = mixture.log_odds_high(np.asarray([0.0, 1.0]))
    assert (mixture.log_odds_high(np.linspace(-9, 0, 50)) <= at_low + 1e-9).all()
    assert (mixture.log_odds_high(np.linspace(1, 9, 50)) >= at_high - 1e-9).all()


def test_many_values_are_thinned_without_a_shift() -> None:
    few, many = fit_two_components(two_bumps(num=100_000)), fit_two_components(two_bumps(num=400_000))
    assert few is not None
    assert many is not None
    assert many.mean == pytest.approx(few.mean, abs=0.02)
