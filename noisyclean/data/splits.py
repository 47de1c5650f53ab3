"""Rows held out of a training: of every class its share, and never part of a group."""

from __future__ import annotations

import numpy as np

from noisyclean.base.randomness import numpy_generator
from noisyclean.types import BoolArray, IntArray, LabelTable

__all__ = [
    "HELD_OUT",
    "SPLIT_NAMES",
    "TEST_NAMES",
    "VALIDATION_NAMES",
    "choose_holdout",
    "rows_of_split",
    "sample_groups",
]

TEST_NAMES = frozenset({"test", "testing"})
VALIDATION_NAMES = frozenset({"val", "valid", "validation", "dev"})
SPLIT_NAMES = TEST_NAMES | VALIDATION_NAMES | {"train", "training"}
HELD_OUT = "held_out_N"
"""Under this name the record of a net says which rows it did not learn from."""


def rows_of_split(table: LabelTable, names: frozenset[str]) -> BoolArray:
    """Rows whose split has one of these names, case-insensitively; none where there is no split."""
    if table.split_N is None:
        return np.zeros(len(table), dtype=bool)
    return np.asarray([str(name).strip().casefold() in names for name in table.split_N], dtype=bool)


def choose_holdout(table: LabelTable, *, share: float, most: int, seed: int) -> BoolArray:
    """Rows to hold out: the validation split where the table names one, else a random share of each class.

    Groups of several rows are held out whole, their share of all such rows, whatever their classes. Verified rows stay
    in the training: they are its best. A class never loses its last training image.

    Args:
        table: The rows trained on.
        share: Of each class, in [0, 1).
        most: Largest number.
        seed: Of the draw.
    """
    named_N = rows_of_split(table, VALIDATION_NAMES)
    if named_N.any():
        return named_N
    allowed_N = np.ones(len(table), dtype=bool) if table.verified_N is None else ~table.verified_N
    share = min(share, most / max(len(table), 1))
    generator = numpy_generator(seed, "holdout")
    held_N = np.zeros(len(table), dtype=bool)
    several = [] if table.group_N is None else _groups_of_several(table.group_N)
    is_alone_N = np.ones(len(table), dtype=bool)
    is_alone_N[np.concatenate([*several, []]).astype(np.int64)] = False
    for label in range(table.num_classes):
        members = np.flatnonzero((table.label_N == label) & allowed_N & is_alone_N)
        held_N[generator.permutation(members)[: int(share * len(members))]] = True
    groups = [rows for rows in several if allowed_N[rows].all()]
    left_C = np.bincount(table.label_N[~held_N], minlength=table.num_classes)
    wanted = int(share * sum(map(len, groups)))
    held_N[_draw_groups(groups, table.label_N, left_C, wanted, generator)] = True
    return held_N


def sample_groups(group_N: IntArray, rank_N: IntArray, share: float) -> BoolArray:
    """Whole groups, of every size its share: systematic sampling of the groups in order of size, then of rank.

    What a sample says of all rows would else vary with how many large groups it happened to get.

    Args:
        group_N: Group of each row.
        rank_N: A random number for each row; its smallest one ranks a group.
        share: Of the groups, in [0, 1].
    """
    groups_G, index_N, size_G = np.unique(group_N, return_inverse=True, return_counts=True)
    rank_G = np.full(len(groups_G), np.iinfo(np.int64).max)
    np.minimum.at(rank_G, index_N, rank_N)
    turn_G = np.floor(share * np.arange(len(groups_G) + 1) + 0.5)
    sampled_G = np.zeros(len(groups_G), dtype=bool)
    sampled_G[np.lexsort((rank_G, size_G))] = np.diff(turn_G) > 0
    sampled_N: BoolArray = sampled_G[index_N]
    return sampled_N


def _groups_of_several(group_N: IntArray) -> list[IntArray]:
    """Rows of each group that has more than one."""
    order = group_N.argsort(kind="stable")
    starts = np.flatnonzero(np.diff(group_N[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    return [order[start : start + size] for start, size in zip(starts, sizes, strict=True) if size > 1]


def _draw_groups(
    groups: list[IntArray], label_N: IntArray, left_C: IntArray, wanted: int, generator: np.random.Generator
) -> IntArray:
    """Rows of whole groups by chance, at most so many; of each class one stays left."""
    drawn: list[IntArray] = [np.zeros(0, dtype=np.int64)]
    for index in generator.permutation(len(groups)):
        rows = groups[index]
        taken_C = np.bincount(label_N[rows], minlength=len(left_C))
        if len(rows) <= wanted and (left_C - taken_C)[taken_C > 0].min() >= 1:
            drawn.append(rows)
            left_C, wanted = left_C - taken_C, wanted - len(rows)
    return np.concatenate(drawn)
