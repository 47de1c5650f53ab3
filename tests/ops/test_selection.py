from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisyclean.ops.selection import (
    agreeing_and_balanced,
    class_prior,
    is_asymmetric,
    lowest_per_class,
    with_class_floor,
)
from tests.oracle import loops


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num=st.integers(2, 40), num_classes=st.integers(2, 5))
def test_moit_selection_equals_the_loop(seed: int, num: int, num_classes: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    label = torch.randint(num_classes, (num,), generator=draw)
    agrees = torch.rand(num, generator=draw) < 0.6
    disagreement = torch.randperm(num, generator=draw).float()
    got = agreeing_and_balanced(disagreement, agrees, label, num_classes)
    assert got.tolist() == loops.moit_selection(disagreement.tolist(), agrees.tolist(), label.tolist(), num_classes)


def test_a_class_with_few_agreeing_is_topped_up_and_one_with_many_is_cut() -> None:
    label = torch.tensor([0] * 4 + [1] * 4 + [2] * 4)
    agrees = torch.tensor([True] * 4 + [True, True, False, False] + [False] * 4)
    chosen = agreeing_and_balanced(torch.arange(12.0), agrees, label, 3)
    assert torch.bincount(label[chosen], minlength=3).tolist() == [2, 2, 2]


@pytest.mark.parametrize(("balance", "expected"), [("min", [1, 1, 1]), ("max", [4, 4, 4]), ("none", [4, 2, 0])])
def test_other_balances(balance: str, expected: list[int]) -> None:
    label = torch.tensor([0] * 4 + [1] * 4 + [2] * 4)
    agrees = torch.tensor([True] * 4 + [True, True, False, False] + [False] * 4)
    chosen = agreeing_and_balanced(torch.arange(12.0), agrees, label, 3, balance=balance)  # type: ignore[arg-type]
    assert torch.bincount(label[chosen], minlength=3).tolist() == expected


def test_nobody_agreeing_leaves_one_of_each_class_and_a_class_of_one_its_one() -> None:
    label = torch.tensor([0, 0, 0, 1, 3])
    chosen = agreeing_and_balanced(torch.arange(5.0), torch.zeros(5, dtype=torch.bool), label, 4)
    assert chosen.tolist() == [True, False, False, True, True]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 0.9))
def test_floor_keeps_the_likeliest_of_every_class_and_takes_nothing_away(seed: int, share: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    label, p_clean = torch.randint(4, (50,), generator=draw), torch.rand(50, generator=draw)
    chosen = p_clean > 0.8
    got = with_class_floor(chosen, p_clean, label, 4, share=share)
    assert (got | ~chosen).all()
    for c in range(4):
        members = label == c
        if members.any():
            assert int(got[members].sum()) >= max(1, int(members.sum() * share))
            assert got[members][p_clean[members].argmax()]


def test_lowest_takes_equals_in_order() -> None:
    label = torch.tensor([1, 0, 1, 1])
    assert lowest_per_class(torch.zeros(4), label, torch.tensor([5, 2])).tolist() == [True, True, True, False]


def test_prior_follows_the_believed_labels_and_is_never_zero() -> None:
    label = torch.tensor([0, 0, 0, 1])
    assert class_prior(label, torch.tensor([1.0, 1.0, 0.0, 1.0]), 3).tolist() == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert float(class_prior(label, torch.zeros(4), 3).sum()) == pytest.approx(1)


@pytest.mark.parametrize("num_classes", [3, 10, 100])
@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_asymmetric_noise_is_told_from_symmetric(num_classes: int, rate: float) -> None:
    draw = torch.Generator().manual_seed(0)
    truth = torch.arange(20_000) % num_classes
    flips = torch.rand(len(truth), generator=draw) < rate
    anywhere = (truth + torch.randint(1, num_classes, truth.shape, generator=draw)) % num_classes
    pairs = (truth + 1) % num_classes
    assert is_asymmetric(truth, torch.where(flips, pairs, truth), num_classes)
    assert not is_asymmetric(truth, torch.where(flips, anywhere, truth), num_classes)


def test_without_disagreement_nothing_is_asymmetric_and_two_classes_always_are() -> None:
    label = torch.arange(10) % 2
    assert not is_asymmetric(label, label, 2)
    assert is_asymmetric(1 - label, label, 2)


def test_a_few_disagreements_a_class_say_nothing_of_symmetry() -> None:
    draw = torch.Generator().manual_seed(0)
    predicted = torch.arange(1_000) % 100
    flips = torch.rand(1_000, generator=draw) < 0.1
    label = torch.where(flips, (predicted + torch.randint(1, 100, (1_000,), generator=draw)) % 100, predicted)
    assert not is_asymmetric(predicted, label, 100)
    assert is_asymmetric(predicted % 10, torch.where(flips, (predicted + 1) % 10, predicted % 10), 10)
