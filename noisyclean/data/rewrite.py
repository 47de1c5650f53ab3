"""A table with some labels changed and all else as it was: rows, columns, order, separators, quotes, encoding."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from noisyclean.base.files import atomic_path
from noisyclean.data.columns import Columns, clean_labels
from noisyclean.data.delimited import replace_cells, write_records
from noisyclean.data.encodings import Encoding, decode_text
from noisyclean.data.spelling import with_slashes
from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError, UsageError

__all__ = ["label_changes", "write_relabelled"]

Changes = dict[int, dict[int, str]]
"""New cells as ``{row: {column: cell}}``; row 1 is the header, column 0 the first."""


def label_changes(
    table: TextTable, columns: Columns, new_labels: Mapping[str, str], kept: frozenset[str] = frozenset()
) -> Changes:
    """Which cells of a table must change so that images get new labels.

    All rows of an image get its new label, and all its label columns where each annotator has one; cells that hold it
    already stay as they are, and those of annotators who did not vote stay empty.

    Args:
        table: The table.
        columns: Its columns.
        new_labels: The right label of each image, by its path.
        kept: Images whose label was confirmed; where several annotators judged, their other votes stand.
    """
    by_file = {_key(path): label for path, label in new_labels.items()}
    confirmed = {_key(path) for path in kept}
    has_votes = bool(columns.more_labels) or columns.annotator is not None
    names = list(table.frame.columns)
    keys = [_key(path) for path in table.frame[columns.image]]
    changes: Changes = {}
    labels_of = {column: clean_labels(table.frame[column]) for column in columns.labels}
    voted_N = np.any([labels != "" for labels in labels_of.values()], axis=0)
    for column, labels in labels_of.items():
        for row, key, label, voted in zip(table.row_N.tolist(), keys, labels, voted_N, strict=True):
            new = by_file.get(key, label)
            if new != label and (label or not voted) and not (has_votes and key in confirmed):
                changes.setdefault(row, {})[names.index(column)] = new
    return changes


def write_relabelled(table: TextTable, changes: Changes, out: Path) -> None:
    """Write the table with some cells changed, in its own format, or as CSV where ``out`` says so.

    Raises:
        DataError: A new label cannot be written in the table's encoding or type.
        UsageError: ``out`` is of another kind than the table, or one that cannot hold it.
    """
    kind = _wanted_kind(table, out)
    if kind != table.kind or kind == "folders":
        if table.kind == "parquet":
            _refuse_nested(table, out)
        _write_as_csv(table, changes, out)
        return
    if kind == "text":
        text, _ = decode_text(table.path.read_bytes(), table.path, table.encoding.codec)
        _write_bytes(replace_cells(text, table.layout, changes), table.encoding, out)
        return
    from noisyclean.data.sheets import replace_sheet_cells

    with atomic_path(out) as temporary:
        replace_sheet_cells(table.path, kind, temporary, changes, keep_macros=out.suffix.lower() == ".xlsm")


def _wanted_kind(table: TextTable, out: Path) -> str:
    asked = {".parquet": "parquet", ".xlsx": "xlsx", ".xlsm": "xlsx", ".csv": "text", ".tsv": "text"}
    kind = asked.get(out.suffix.lower(), "text")
    if kind not in ("text", table.kind):
        raise UsageError(
            f"--out {out}: the table it comes from is {table.kind}, not {kind}", hint="Name a .csv file for --out."
        )
    return kind


def _refuse_nested(table: TextTable, out: Path) -> None:
    from noisyclean.data.sheets import nested_columns

    for name, kind in nested_columns(table.path).items():
        raise UsageError(
            f"--out {out}: CSV cannot hold column {name!r} of {table.path}, which is {kind}",
            hint="Name a .parquet file for --out.",
        )


def _write_as_csv(table: TextTable, changes: Changes, out: Path) -> None:
    frame = table.frame.copy()
    place_of = {row: place for place, row in enumerate(table.row_N.tolist())}
    for row, cells in changes.items():
        for column, cell in cells.items():
            frame.iat[place_of[row], column] = cell
    delimiter = "\t" if out.suffix.lower() == ".tsv" else ","
    text = write_records([frame.columns, *frame.itertuples(index=False, name=None)], delimiter)
    _write_bytes(text, Encoding("utf-8"), out)


def _write_bytes(text: str, encoding: Encoding, out: Path) -> None:
    try:
        content = encoding.encode(text)
    except UnicodeEncodeError as error:
        odd = text[error.start : error.end]
        raise DataError(
            f"{out}: {odd!r} cannot be written in {encoding}, the encoding of the input table",
            hint="Save the input table as UTF-8 and audit that, or choose a label the encoding has.",
        ) from error
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)


def _key(path: str) -> str:
    """Equal for spellings of one path."""
    return os.path.normpath(with_slashes(path.strip()))
