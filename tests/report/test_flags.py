from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.data.shielding import neutralise, restore
from noisyclean.report.flags import flag_table, score_table, to_csv
from noisyclean.types import LabelTable, NoiseEstimate, SampleStats, SignalScore

P = np.asarray([0.9, 0.1, 0.95, 0.6])


def make_table(carried: dict[str, list[str]] | None = None) -> LabelTable:
    return LabelTable(
        image_path_N=np.asarray(["a.png", "b.png", "=c.png", "d,d.png"], dtype=object),
        file_N=np.asarray(["/a.png", "/b.png", "/=c.png", "/d,d.png"], dtype=object),
        label_N=np.asarray([0, 1, 1, 0]),
        classes=("-1", "cat"),
        row_N=np.arange(4) + 2,
        carried=pd.DataFrame(carried or {}, index=range(4)),
    )


def make_stats() -> SampleStats:
    signal = SignalScore(raw_N=P, suspicion_N=P)
    return SampleStats(
        p_mislabeled_N=P,
        p_NC=np.full((4, 2), 0.5),
        suggestion_N=np.asarray([1, 1, 0, 1]),
        p_suggested_N=np.full(4, 0.5),
        flagged_N=P > 0.5,
        issue_N=np.where(P > 0.5, "mislabelled", "").astype(object),
        reason_N=np.where(P > 0.5, "because", "").astype(object),
        signals={"margin": signal},
        noise=NoiseEstimate(rate=0.5, low=0.4, high=0.6, transition_CC=np.eye(2)),
    )


def test_flagged_columns_are_the_contract() -> None:
    frame = flag_table(make_table({"camera": ["1", "2", "3", "4"]}), make_stats())
    assert list(frame.columns) == [
        "rank",
        "image_path",
        "given_label",
        "suggested_label",
        "p_mislabeled",
        "p_suggested",
        "issue_type",
        "reason",
        "margin",
        "camera",
        "verdict",
        "reviewed_label",
        "comment",
    ]


def test_flagged_rows_are_the_flagged_ones_worst_first() -> None:
    frame = flag_table(make_table({"camera": ["1", "2", "3", "4"]}), make_stats())
    assert frame["image_path"].tolist() == ["'=c.png", "a.png", "d,d.png"]
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["camera"].tolist() == ["3", "1", "4"]
    assert (frame[["verdict", "reviewed_label", "comment"]] == "").all().all()


def test_a_carried_column_never_hides_one_of_ours() -> None:
    frame = flag_table(make_table({"rank": ["7", "8", "9", "10"]}), make_stats())
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["rank (input)"].tolist() == ["9", "7", "10"]


def test_scores_have_every_row_in_order_and_empty_cells_for_quarantined_ones() -> None:
    table = make_table()
    usable = np.asarray([True, False, True, True])
    stats = make_stats()
    keep = usable
    part = SampleStats(
        **{
            **vars(stats),
            **{name: getattr(stats, name)[keep] for name in vars(stats) if name.endswith("_N")},
            "signals": {"margin": SignalScore(raw_N=P[keep], suspicion_N=P[keep])},
        }
    )
    frame = score_table(table, part, usable)
    assert list(frame.columns) == [
        "image_path",
        "given_label",
        "suggested_label",
        "p_mislabeled",
        "p_suggested",
        "issue_type",
        "flagged",
        "margin",
    ]
    assert frame["image_path"].tolist() == ["a.png", "b.png", "=c.png", "d,d.png"]
    assert frame[["p_mislabeled", "flagged", "margin"]].iloc[1].tolist() == ["", "", ""]
    assert frame["p_mislabeled"].iloc[2] == "0.95"
    assert frame["flagged"].tolist() == ["true", "", "true", "true"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20, unique=True))
def test_scores_do_not_tie_by_rounding(values: list[float]) -> None:
    from noisyclean.report.flags import _exact

    assert [float(text) for text in _exact(np.asarray(values))] == values


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd", "-cmd|x", "\t=x", "'quoted", "\r=x"])
def test_cells_a_spreadsheet_would_run_are_shielded(cell: str) -> None:
    assert neutralise(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1", "+2.5", "-1e3", "cat", "", "a=b", 5, -1])
def test_numbers_and_plain_text_stay(cell: object) -> None:
    assert neutralise(cell) == cell


@given(st.text())
def test_shielding_can_be_undone(cell: str) -> None:
    assert restore(str(neutralise(cell))) == cell


def test_a_line_end_in_a_carried_cell_tears_no_row() -> None:
    text = to_csv(flag_table(make_table({"note": ["one\rtwo", "", "three\r\nfour\n", ""]}), make_stats()))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[rows[0].index("note")] for row in rows[1:]] == ["three\r\nfour\n", "one\rtwo", ""]
    assert text.count("\n") == 4 + 2


def test_names_of_carried_columns_are_shielded() -> None:
    frame = flag_table(make_table({"=HYPERLINK(0)": ["1", "2", "3", "4"], "-1": ["5", "6", "7", "8"]}), make_stats())
    assert list(frame.columns[9:11]) == ["'=HYPERLINK(0)", "-1"]
    assert frame["'=HYPERLINK(0)"].tolist() == ["3", "1", "4"]


def test_what_is_missing_is_an_empty_cell() -> None:
    frame = pd.DataFrame({"number": [1, 2], "share": [0.25, np.nan], "text": [None, "a"]})
    assert to_csv(frame) == frame.to_csv(index=False, lineterminator="\n")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=8))
def test_any_text_survives_the_round_trip(cells: list[str]) -> None:
    text = to_csv(pd.DataFrame({"cell": cells, "other": "x"}))
    back = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert back["cell"].tolist() == cells
