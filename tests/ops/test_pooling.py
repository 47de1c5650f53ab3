"""Balancing and pooling of opinions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from noisyclean.ops.pooling import balance_classes, margins, plausible_shares, pool_opinions
from noisyclean.types import FloatArray


def opinions(num: int = 200, classes: int = 4, *, seed: int = 0, scale: float = 3.0) -> FloatArray:
    draw = np.random.default_rng(seed)
    log_p: FloatArray = log_softmax(draw.normal(0, scale, (num, classes)) + np.arange(classes), axis=1)
    return log_p


def test_margins_equal_a_slow_loop() -> None:
    log_p = opinions(30)
    label = np.arange(30) % 4
    for row, margin in enumerate(margins(log_p, label)):
        others = [log_p[row, c] for c in range(4) if c != label[row]]
        assert margin == pytest.approx(log_p[row, label[row]] - max(others))


def test_a_balanced_opinion_has_the_shares_wanted_and_keeps_each_class_order() -> None:
    log_p = opinions()
    wanted = np.array([0.4, 0.3, 0.2, 0.1])
    balanced = balance_classes(log_p, wanted)
    assert np.exp(balanced).mean(axis=0) == pytest.approx(wanted, abs=1e-3)
    shift = balanced - log_p
    odds = shift[:, 1:] - shift[:, :1]
    assert odds == pytest.approx(np.broadcast_to(odds[0], odds.shape), abs=1e-9)


def test_an_empty_class_is_left_out_of_the_balance() -> None:
    balanced = balance_classes(opinions(), np.array([0.5, 0.5, 0.0, 0.0]))
    assert np.isfinite(balanced).all()


@given(
    counts=st.lists(st.integers(0, 500), min_size=2, max_size=12).filter(lambda counts: sum(counts) > 0),
    movable=st.floats(0, 1),
    believed=st.floats(0, 1),
)
def test_plausible_shares_are_shares_and_never_more_uneven_than_the_labels(
    counts: list[int], movable: float, believed: float
) -> None:
    share = np.asarray(counts) / sum(counts)
    plausible = plausible_shares(share, movable, believed)
    assert plausible.sum() == pytest.approx(1)
    assert ((plausible > 0) == (share > 0)).all()
    assert plausible.max() <= share.max() + 1e-9


def test_shares_are_even_where_noise_can_have_moved_that_many_labels() -> None:
    share = np.array([0.5, 0.3, 0.2, 0.0])
    assert plausible_shares(share, 0.17) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    between = plausible_shares(share, 0.16)
    assert between[0] / between[2] == pytest.approx((0.5 / 0.2) ** 0.5)
    assert plausible_shares(share, 0.16, 1.0) == pytest.approx(share)
    assert plausible_shares(share, 0.16, 0.0) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_a_pool_is_the_weighted_geometric_mean() -> None:
    first, second = opinions(seed=1), opinions(seed=2)
    pooled = pool_opinions([first, second], [3, 1])
    expected = np.exp(first) ** 0.75 * np.exp(second) ** 0.25
    assert np.exp(pooled) == pytest.approx(expected / expected.sum(axis=1, keepdims=True))
