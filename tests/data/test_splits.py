from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisyclean.data.splits import TEST_NAMES, choose_holdout, rows_of_split, sample_groups
from noisyclean.types import BoolArray, IntArray, LabelTable, StrArray


def make_table(
    label_N: IntArray,
    *,
    group_N: IntArray | None = None,
    split_N: StrArray | None = None,
    verified_N: BoolArray | None = None,
) -> LabelTable:
    num = len(label_N)
    names = np.asarray([f"{row}.png" for row in range(num)], dtype=object)
    return LabelTable(
        image_path_N=names,
        file_N=names,
        label_N=label_N,
        classes=("a", "b", "c", "d"),
        row_N=np.arange(num) + 2,
        carried=pd.DataFrame(index=range(num)),
        group_N=group_N,
        split_N=split_N,
        verified_N=verified_N,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 0.9))
def test_of_every_class_its_share_and_never_all(seed: int, share: float) -> None:
    label_N = np.random.default_rng(seed).integers(0, 4, 60)
    held_N = choose_holdout(make_table(label_N), share=share, most=1000, seed=seed)
    for label in range(4):
        members = label_N == label
        assert held_N[members].sum() == int(share * members.sum())


def test_never_part_of_a_group_and_never_the_last_of_a_class() -> None:
    label_N = np.asarray([0, 0, 1, 1, 2, 2, 3, 3] * 5)
    group_N = np.arange(40) // 4
    held_N = choose_holdout(make_table(label_N, group_N=group_N), share=0.5, most=1000, seed=0)
    assert 0 < held_N.sum() <= 20
    assert all(held_N[group_N == group].all() or not held_N[group_N == group].any() for group in range(10))
    lonely = choose_holdout(make_table(np.arange(4), group_N=np.arange(4)), share=0.9, most=1000, seed=0)
    assert not lonely.any()


def test_a_few_pairs_are_held_out_whole_and_the_other_rows_by_class() -> None:
    label_N = np.arange(400) % 4
    group_N = np.arange(400)
    group_N[1:80:2] = group_N[0:80:2]
    held_N = choose_holdout(make_table(label_N, group_N=group_N), share=0.1, most=1000, seed=0)
    assert np.array_equal(held_N[0:80:2], held_N[1:80:2])
    assert held_N[:80].sum() == 8
    assert np.bincount(label_N[80:][held_N[80:]]).tolist() == [8, 8, 8, 8]


def test_a_named_validation_split_goes_before_a_random_one_and_test_is_found() -> None:
    split_N = np.asarray(["train", "Val", "test", " valid "], dtype=object)
    table = make_table(np.arange(4), split_N=split_N)
    assert choose_holdout(table, share=0.5, most=9, seed=0).tolist() == [False, True, False, True]
    assert rows_of_split(table, TEST_NAMES).tolist() == [False, False, True, False]
    assert not rows_of_split(make_table(np.arange(4)), TEST_NAMES).any()


def test_verified_rows_stay_in_the_training_and_most_is_a_limit() -> None:
    label_N = np.zeros(100, dtype=np.int64)
    verified_N = np.arange(100) < 50
    held_N = choose_holdout(make_table(label_N, verified_N=verified_N), share=0.5, most=10, seed=0)
    assert not (held_N & verified_N).any()
    assert held_N.sum() == pytest.approx(5)


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_sampled_groups_are_whole_and_every_size_has_its_share(sizes: list[int], share: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    group_N = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    rank_N = generator.integers(0, 2**62, size=len(group_N))
    sampled_N = sample_groups(group_N, rank_N, share)
    sampled_G = np.asarray([sampled_N[group_N == group].all() for group in range(len(sizes))])
    assert all(sampled_N[group_N == group].any() == sampled_G[group] for group in range(len(sizes)))
    for size in set(sizes):
        members_G = np.asarray(sizes) == size
        assert abs(sampled_G[members_G].sum() - share * members_G.sum()) <= 1 + 1e-9


def test_groups_of_one_size_are_sampled_by_rank_alone() -> None:
    group_N = np.arange(1000)
    first, second = (np.random.default_rng(seed).integers(0, 2**62, size=1000) for seed in (0, 1))
    assert np.array_equal(sample_groups(group_N, first, 0.1), sample_groups(group_N[::-1], first, 0.1))
    assert sample_groups(group_N, first, 0.1).sum() == 100
    assert not np.array_equal(sample_groups(group_N, first, 0.1), sample_groups(group_N, second, 0.1))
