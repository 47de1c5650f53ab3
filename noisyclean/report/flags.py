"""The ranked CSV for the annotator, and the scores of every image."""

from __future__ import annotations

import numpy as np
import pandas as pd

from noisyclean.data.delimited import write_records
from noisyclean.data.shielding import neutralise
from noisyclean.types import CONFLICT, BoolArray, FloatArray, IntArray, LabelTable, SampleStats, StrArray

__all__ = ["flag_table", "flagged_rows", "score_table", "to_csv"]

VERDICT_COLUMNS = ("verdict", "reviewed_label", "comment")


def score_table(table: LabelTable, stats: SampleStats, usable_N: BoolArray) -> pd.DataFrame:
    """Every image of the input table in its order; quarantined ones have empty scores.

    Args:
        table: All rows, usable or not.
        stats: Verdicts on the usable rows, in their order.
        usable_N: Which rows those are.
    """
    classes = np.asarray(table.classes, dtype=object)
    frame = pd.DataFrame({"image_path": table.image_path_N, "given_label": table.given_label()})
    scores = {
        "suggested_label": classes[stats.suggestion_N],
        "p_mislabeled": _exact(stats.p_mislabeled_N),
        "p_suggested": _exact(stats.p_suggested_N),
        "issue_type": stats.issue_N,
        "flagged": np.where(stats.flagged_N, "true", "false").astype(object),
        **{name: _exact(score.suspicion_N) for name, score in stats.signals.items()},
    }
    for name, values in scores.items():
        column = np.full(len(table), "", dtype=object)
        column[usable_N] = values
        frame[name] = column
    return frame


def flag_table(table: LabelTable, stats: SampleStats) -> pd.DataFrame:
    """The flagged images, worst first, with empty columns for the annotator.

    Args:
        table: The usable rows.
        stats: Verdicts on them.
    """
    rows = flagged_rows(stats)
    classes = np.asarray(table.classes, dtype=object)
    frame = pd.DataFrame(
        {
            "rank": np.arange(1, len(rows) + 1),
            "image_path": table.image_path_N[rows],
            "given_label": table.given_label()[rows],
            "suggested_label": classes[stats.suggestion_N[rows]],
            "p_mislabeled": _readable(stats.p_mislabeled_N[rows]),
            "p_suggested": _readable(stats.p_suggested_N[rows]),
            "issue_type": stats.issue_N[rows],
            "reason": stats.reason_N[rows],
            **{name: _readable(score.suspicion_N[rows]) for name, score in stats.signals.items()},
        }
    )
    carried = table.carried.iloc[rows].reset_index(drop=True)
    taken = {*frame.columns, *VERDICT_COLUMNS}
    carried.columns = pd.Index([f"{name} (input)" if name in taken else neutralise(name) for name in carried.columns])
    frame = pd.concat([frame, carried], axis=1)
    for name in VERDICT_COLUMNS:
        frame[name] = ""
    return frame.map(neutralise)


def flagged_rows(stats: SampleStats) -> IntArray:
    """Rows of the flagged images, worst first: what contradicts itself, then by probability; equals in table order."""
    worst_first = np.lexsort((np.arange(len(stats.flagged_N)), -stats.p_mislabeled_N, stats.issue_N != CONFLICT))
    return worst_first[stats.flagged_N[worst_first]]


def to_csv(frame: pd.DataFrame) -> str:
    """As CSV text; what is missing is an empty cell."""
    cells = frame.astype(object).where(frame.notna(), "")
    return write_records([frame.columns, *cells.itertuples(index=False, name=None)])


def _exact(values: FloatArray) -> StrArray:
    """Shortest text that keeps different numbers different."""
    return np.asarray([np.format_float_positional(value, trim="-") for value in values], dtype=object)


def _readable(values: FloatArray) -> StrArray:
    """Four decimals, for people."""
    return np.asarray([f"{value:.4f}" for value in values], dtype=object)
