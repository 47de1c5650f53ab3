"""The same picture with two labels: one of them is wrong for certain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from noisyclean.types import BoolArray, IntArray, LabelTable, StrArray

__all__ = ["Conflicts", "find_conflicts"]


@dataclass(frozen=True, kw_only=True)
class Conflicts:
    """Which rows contradict another row, or the input itself."""

    rival_N: IntArray
    """The other label of the same picture; -1 where there is none."""
    is_settled_N: BoolArray
    """Whether a reviewer has confirmed the other label, so that this one is wrong."""
    reason_N: StrArray
    """Where the other label is, in words; empty where there is none."""


def find_conflicts(table: LabelTable, content_N: StrArray) -> Conflicts:
    """Find rows whose picture, byte for byte, has another label elsewhere.

    Args:
        table: The usable rows.
        content_N: Hash of each file.
    """
    num = len(table)
    rival_N = np.full(num, -1, dtype=np.int64) if table.rival_N is None else table.rival_N.copy()
    reason_N = np.full(num, "", dtype=object)
    for row in np.flatnonzero(rival_N >= 0):
        reason_N[row] = f"the table gives this image the label {table.classes[rival_N[row]]!r} too"
    verified_N = np.zeros(num, dtype=bool) if table.verified_N is None else table.verified_N
    is_settled_N = np.zeros(num, dtype=bool)
    frame = pd.DataFrame({"content": content_N, "label": table.label_N})
    twins = frame[frame.duplicated("content", keep=False) & (frame["content"] != "")]
    for _, group in twins.groupby("content", sort=False):
        rows = group.index.to_numpy()
        is_verified = verified_N[rows].any()
        voters = rows[verified_N[rows]] if is_verified else rows
        for label in group["label"].unique():
            twin = _most_frequent_other(voters, table.label_N, label)
            if twin is None:
                continue
            judged = rows[table.label_N[rows] == label]
            word = "verified as" if is_verified else "labelled"
            rival_N[judged] = table.label_N[twin]
            is_settled_N[judged] = is_verified
            reason_N[judged] = (
                f"the same picture, {table.image_path_N[twin]} (row {table.row_N[twin]}), "
                f"is {word} {table.classes[table.label_N[twin]]!r}"
            )
    rival_N[verified_N] = -1
    reason_N[verified_N] = ""
    return Conflicts(rival_N=rival_N, is_settled_N=is_settled_N & ~verified_N, reason_N=reason_N)


def _most_frequent_other(voters: IntArray, label_N: IntArray, label: int) -> int | None:
    """The first row with the most frequent label other than ``label``; None where there is no other."""
    others = voters[label_N[voters] != label]
    if not len(others):
        return None
    winner = np.bincount(label_N[others]).argmax()
    return int(others[label_N[others] == winner][0])
