from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from noisyclean.base.runtime import use_threads
from noisyclean.engine import neighbours
from noisyclean.engine.neighbours import nearest_neighbours, neighbours_among
from noisyclean.ops.knn import (
    MOST_DISAGREEMENT,
    bounded_num_neighbours,
    disagreement,
    two_pass_votes,
    vote_against,
    votes,
)
from tests.oracle import loops


@pytest.fixture
def z() -> torch.Tensor:
    return normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.mark.parametrize("block_bytes", [160, 1000, 2**26])
def test_neighbours_equal_the_loop_whatever_the_block(
    z: torch.Tensor, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", block_bytes)
    index, similarity = nearest_neighbours(z, num_neighbours=5)
    assert index.tolist() == loops.nearest(z.numpy(), 5)
    assert torch.allclose(similarity, torch.gather(z @ z.T, 1, index), atol=1e-6)


def test_neighbours_never_come_from_the_same_group(z: torch.Tensor) -> None:
    group = torch.arange(40) // 4
    index, _ = nearest_neighbours(z, num_neighbours=5, group_N=group)
    assert index.tolist() == loops.nearest(z.numpy(), 5, group.numpy())


def test_places_that_cannot_be_filled_are_marked() -> None:
    z = normalize(torch.randn(4, 3), dim=1)
    _, similarity = nearest_neighbours(z, num_neighbours=3, group_N=torch.tensor([0, 0, 0, 1]))
    assert similarity.isfinite().sum(dim=1).tolist() == [1, 1, 1, 3]


def test_two_pass_votes_equal_the_loop(z: torch.Tensor) -> None:
    label = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))
    index, _ = nearest_neighbours(z, num_neighbours=7)
    expected = loops.two_pass_votes(index.tolist(), label.tolist(), 3)
    for got, want in zip(two_pass_votes(index, label, 3), expected, strict=True):
        assert np.allclose(got.numpy(), want)


def test_disagreement_equals_the_loop_and_ties_are_broken_by_the_first_vote(z: torch.Tensor) -> None:
    label = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))
    index, _ = nearest_neighbours(z, num_neighbours=7)
    first, second = two_pass_votes(index, label, 3)
    got = disagreement(first, second, label)
    assert got.tolist() == pytest.approx(loops.disagreement(first.tolist(), second.tolist(), label.tolist()), abs=1e-6)
    assert len(got.unique()) > len(vote_against(second, label).unique())
    nobody = torch.tensor([[0.0, 1.0]])
    assert disagreement(nobody, nobody, torch.tensor([0])).tolist() == pytest.approx([MOST_DISAGREEMENT])


def test_votes_ignore_missing_neighbours_and_are_uniform_without_any() -> None:
    index = torch.tensor([[1, 2], [0, 2], [0, 1]])
    valid = torch.tensor([[True, False], [True, True], [False, False]])
    got = votes(index, torch.tensor([0, 1, 1]), 2, valid_NK=valid)
    assert got.tolist() == [[0, 1], [0.5, 0.5], [0.5, 0.5]]


@given(st.permutations(range(12)))
def test_votes_do_not_depend_on_the_order_of_samples(order: list[int]) -> None:
    z = normalize(torch.randn(12, 4, generator=torch.Generator().manual_seed(3)), dim=1)
    label = torch.arange(12) % 3
    permutation = torch.tensor(order)
    index, _ = nearest_neighbours(z, num_neighbours=3)
    shuffled, _ = nearest_neighbours(z[permutation], num_neighbours=3)
    first = two_pass_votes(index, label, 3)[1][permutation]
    second = two_pass_votes(shuffled, label[permutation], 3)[1]
    assert torch.equal(first, second)


def test_vote_against_is_zero_on_agreement_and_bounded_on_absence() -> None:
    p = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    got = vote_against(p, torch.tensor([0, 0, 0]), floor=0.01)
    assert got.tolist() == pytest.approx([0, math.log(100), math.log(2)])


@pytest.mark.parametrize(
    ("sizes", "expected"), [([500, 500], 50), ([20, 20, 20], 10), ([1, 1], 1), ([0, 60, 0, 60], 30)]
)
def test_k_is_bounded_by_class_sizes(sizes: list[int], expected: int) -> None:
    assert bounded_num_neighbours(50, torch.tensor(sizes)) == expected


@pytest.mark.parametrize("num", [640, 645, 703])
def test_the_largest_of_long_rows_are_all_found(num: int) -> None:
    value = torch.randn(9, num, generator=torch.Generator().manual_seed(num))
    values, index = neighbours._largest(value, 7)
    assert torch.equal(values, value.topk(7, dim=1).values)
    assert torch.equal(value.gather(1, index), values)


def test_some_rows_have_the_neighbours_they_have_among_all(z: torch.Tensor) -> None:
    whole, _ = nearest_neighbours(z, num_neighbours=5)
    part, _ = nearest_neighbours(z, num_neighbours=5, rows=range(11, 29))
    assert torch.equal(part, whole[11:29])


def test_neighbours_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 500 * 30)
    z_ND = torch.nn.functional.normalize(torch.randn(500, 6, generator=torch.Generator().manual_seed(3)), dim=1)
    group_N = torch.arange(500) // 2
    found = []
    for threads in (1, 3):
        with use_threads(threads), torch.inference_mode():
            found.append(nearest_neighbours(z_ND, num_neighbours=9, group_N=group_N))
            assert torch.get_num_threads() == threads
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))
    among = neighbours_among(z_ND[:50], z_ND, num_neighbours=9, own_row_M=torch.arange(50))
    alone, _ = nearest_neighbours(z_ND, num_neighbours=9)
    assert torch.equal(among, alone[:50])


def test_full_agreement_is_zero_and_not_minus_zero() -> None:
    against = vote_against(torch.eye(3), torch.arange(3))
    assert (against == 0).all()
    assert not torch.signbit(against).any()
