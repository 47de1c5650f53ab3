"""Which rows a training learns from, and which judge it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from noisyclean.pipeline.training_jobs import FEWEST_JUDGES, verified_judges, without_judges
from noisyclean.types import BoolArray, IntArray, LabelTable


def make_table(verified_N: BoolArray, group_N: IntArray | None = None) -> LabelTable:
    """Two classes in turn."""
    num = len(verified_N)
    names = np.asarray([f"{row}.png" for row in range(num)], dtype=object)
    return LabelTable(
        image_path_N=names,
        file_N=names,
        label_N=np.arange(num) % 2,
        classes=("a", "b"),
        row_N=np.arange(num) + 2,
        carried=pd.DataFrame(index=range(num)),
        group_N=group_N,
        verified_N=verified_N,
    )


@pytest.mark.parametrize(("num_verified", "is_judge"), [(FEWEST_JUDGES - 1, False), (FEWEST_JUDGES, True)])
def test_verified_rows_are_learnt_from_where_they_are_too_few_to_judge(num_verified: int, is_judge: bool) -> None:
    verified_N, held_N = np.arange(100) < num_verified, np.arange(100) >= 90
    train_N, selects_N = without_judges(make_table(verified_N), ~held_N, held_N)
    assert np.array_equal(train_N, ~held_N & ~verified_N if is_judge else ~held_N)
    assert np.array_equal(selects_N, held_N)
    assert verified_judges(make_table(verified_N), train_N | selects_N).any() == is_judge


def test_a_class_that_is_wholly_verified_keeps_a_training_image() -> None:
    everyone_N = np.ones(120, dtype=bool)
    table = make_table(np.arange(120) % 2 == 0)
    train_N, _ = without_judges(table, everyone_N, ~everyone_N)
    assert np.bincount(table.label_N[train_N]).tolist() == [1, 60]
    assert verified_judges(table, train_N).sum() == 59


def test_groups_that_are_learnt_from_do_not_judge() -> None:
    verified_N, nothing_N = np.arange(120) >= 60, np.zeros(120, dtype=bool)
    table = make_table(verified_N, group_N=np.arange(120) % 60)
    train_N, _ = without_judges(table, ~nothing_N, nothing_N)
    assert train_N.all(), "no verified row would judge"
    apart = make_table(verified_N, group_N=np.arange(120))
    train_N, _ = without_judges(apart, ~nothing_N, nothing_N)
    assert np.array_equal(train_N, ~verified_N)
