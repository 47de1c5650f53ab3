"""From IMAGES and LABELS to one frozen :class:`~noisyclean.types.LabelTable`, every choice said aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from noisyclean.base.files import fingerprint
from noisyclean.data.columns import Columns, choose_columns
from noisyclean.data.folders import table_from_folders
from noisyclean.data.paths import Located, locate
from noisyclean.data.tables import read_table
from noisyclean.errors import DataError
from noisyclean.types import BoolArray, IntArray, LabelTable, StrArray

__all__ = ["IngestOptions", "Ingested", "order_classes", "read_labels", "select_rows"]


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """How to read the table; everything is found out by default."""

    encoding: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    split_column: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """A label table, the rows that cannot be used and why, and what was chosen on the way."""

    table: LabelTable
    problem_N: StrArray
    """Why a row cannot be used; empty where it can."""
    files_fingerprint: str
    """Hash of the sizes and times of all files; a changed image changes it."""
    notes: tuple[str, ...]


def read_labels(images: Path, labels: Path | None, options: IngestOptions | None = None) -> Ingested:
    """Read a label table, or a folder per class where ``labels`` is None.

    Args:
        images: The images folder; never written to.
        labels: A CSV, TSV or semicolon table.
        options: Overrides of what is found out.

    Raises:
        DataError: The folder, the table, its columns or its paths cannot be used, or there is one class only.
        UsageError: A named column does not exist.
    """
    options = options or IngestOptions()
    if not images.is_dir():
        raise DataError(f"{images}: no such folder", hint="IMAGES is the folder the images are in.")
    text = read_table(labels, encoding=options.encoding) if labels is not None else table_from_folders(images)
    columns = choose_columns(
        text,
        image=options.image_column,
        label=options.label_column,
        group=options.group_column,
        split=options.split_column,
    )
    frame, merged = _merge_repeated(text.frame, columns)
    located = locate(frame[columns.image].tolist(), images, labels.parent if labels is not None else images)
    table = _build(frame, columns, located)
    problem = _problems(table, located.found_N, frame[columns.label])
    notes = [
        text.description,
        f"images from column {columns.image!r} ({located.base}), labels from column {columns.label!r}",
        f"{table.num_classes} classes in this order: {_shorten(table.classes)}",
    ]
    if merged:
        notes.append(f"{merged:,} rows repeated an image with the same label and were merged")
    return Ingested(table=table, problem_N=problem, files_fingerprint=fingerprint(located.stamps), notes=tuple(notes))


def order_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """Distinct class names, sorted; numerically when all of them are integers."""
    names = sorted(set(labels))
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(names)


def select_rows(table: LabelTable, keep_N: BoolArray) -> LabelTable:
    """The same table with some rows only; classes and fingerprint stay."""

    def pick(column: StrArray | None) -> StrArray | None:
        return None if column is None else column[keep_N]

    return LabelTable(
        image_path_N=table.image_path_N[keep_N],
        file_N=table.file_N[keep_N],
        label_N=table.label_N[keep_N],
        classes=table.classes,
        row_N=table.row_N[keep_N],
        carried=table.carried.loc[keep_N].reset_index(drop=True),
        split_N=pick(table.split_N),
        group_N=None if table.group_N is None else table.group_N[keep_N],
        fingerprint=table.fingerprint,
        verified_N=None if table.verified_N is None else table.verified_N[keep_N],
    )


def _merge_repeated(frame: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, int]:
    """Drop rows that repeat an image with the same label; refuse an image with two labels."""
    repeated = frame.duplicated([columns.image, columns.label])
    kept = frame.loc[~repeated]
    twice = kept.duplicated(columns.image, keep=False)
    if twice.any():
        rows = kept.loc[twice].head(2)
        where = " and ".join(
            f"row {row + 2} ({label!r})" for row, label in zip(rows.index.tolist(), rows[columns.label], strict=True)
        )
        raise DataError(
            f"{rows[columns.image].iloc[0]!r} has two labels: {where}; {int(twice.sum())} rows are like that",
            hint="Keep one row for each image.",
        )
    return kept, int(repeated.sum())


def _build(frame: pd.DataFrame, columns: Columns, located: Located) -> LabelTable:
    names = frame[columns.label].str.strip()
    classes = order_classes([name for name in names.unique() if name])
    if len(classes) < 2:
        raise DataError(
            f"only one class ({', '.join(classes) or 'none'}): there is nothing to confuse",
            hint="Check the label column; audits need at least two classes.",
        )
    index = {name: position for position, name in enumerate(classes)}
    split = None if columns.split is None else frame[columns.split].to_numpy(dtype=object)
    group = None if columns.group is None else pd.factorize(frame[columns.group])[0].astype(np.int64)
    label_N: IntArray = names.map(lambda name: index.get(name, 0)).to_numpy(dtype=np.int64)
    return LabelTable(
        image_path_N=frame[columns.image].to_numpy(dtype=object),
        file_N=located.file_N,
        label_N=label_N,
        classes=classes,
        row_N=frame.index.to_numpy(dtype=np.int64) + 2,
        carried=frame.drop(columns=list(columns.used)).reset_index(drop=True),
        split_N=split,
        group_N=group,
        fingerprint=fingerprint(
            {
                "paths": frame[columns.image].tolist(),
                "labels": names.tolist(),
                "split": None if split is None else split.tolist(),
                "group": None if group is None else group.tolist(),
            }
        ),
    )


def _problems(table: LabelTable, found_N: BoolArray, label: pd.Series) -> StrArray:
    problem = np.full(len(table), "", dtype=object)
    problem[~found_N] = "file not found"
    problem[(label.str.strip() == "").to_numpy()] = "no label"
    return problem


def _shorten(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names) - most} more)"
