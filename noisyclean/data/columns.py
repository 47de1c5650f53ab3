"""Which column holds the paths and which the labels: found by name, said aloud, overridable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import pandas as pd

from noisyclean.base.shell import shell_line
from noisyclean.data.formats import is_image_name
from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError, UsageError
from noisyclean.types import StrArray

__all__ = ["IMAGE_NAMES", "Columns", "choose_columns", "clean_labels", "first_match", "image_column_of"]

IMAGE_NAMES = ("image_path", "path", "file_name", "filename", "image")
LABEL_NAMES = ("label", "class", "target")
ANNOTATOR_NAMES = ("annotator", "annotator_id", "rater", "rater_id", "labeler", "labeller", "worker_id")
WIDE_NAME = re.compile(r"(label|annotator|rater|labeler|labeller|worker)[ _-]?\d+", re.IGNORECASE)
"""Columns of this form hold one annotator's labels each, where no column has a usual name."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns used, as spelled in the table."""

    image: str
    label: str
    """The column of labels, or the first of several."""
    more_labels: tuple[str, ...] = ()
    """The other annotators' columns, where each has one."""
    group: str | None = None
    split: str | None = None
    annotator: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """All columns of labels."""
        return (self.label, *self.more_labels)

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are not carried through."""
        return (self.image, *self.labels)


def choose_columns(
    table: TextTable,
    *,
    image: str | None = None,
    label: str | None = None,
    group: str | None = None,
    split: str | None = None,
    annotator: str | None = None,
) -> Columns:
    """Find the columns by their usual names, case-insensitively; the arguments name them outright.

    Args:
        table: The table.
        image: Column of paths.
        label: Column of labels, or several separated by commas: one for each annotator.
        group: Column of groups.
        split: Column of splits.
        annotator: Column that says whose label a row is.

    Raises:
        DataError: No usual name is there; the message shows the header, three rows and the options to add.
        UsageError: A named column is not there.
    """
    path = _path_column(table, image)
    labels = _named_labels(table, label) or _usual_labels(table)
    if path is None or not labels:
        _refuse(table, path, needs_label=not labels)
    return Columns(
        image=path,
        label=labels[0],
        more_labels=labels[1:],
        group=_named(table, group, "--group-column"),
        split=_named(table, split, "--split-column") or first_match(table.frame, ("split",)),
        annotator=_named(table, annotator, "--annotator-column") or first_match(table.frame, ANNOTATOR_NAMES),
    )


def image_column_of(table: TextTable, asked: str | None = None) -> str:
    """The column of paths.

    Raises:
        DataError: No usual name is there.
        UsageError: The one asked for is not there.
    """
    return _path_column(table, asked) or _refuse(table, None, needs_label=False)


def clean_labels(cells: pd.Series) -> StrArray:
    """Labels as class names: without spaces around them, composed (NFC), so that equal looks mean equal names."""
    return cells.map({cell: unicodedata.normalize("NFC", cell.strip()) for cell in cells.unique()}).to_numpy(
        dtype=object
    )


def has_columns(table: TextTable, names: str) -> bool:
    """Whether a table has the column of this name, or all of several separated by commas; case does not matter."""
    return all(first_match(table.frame, (name,)) is not None for name in names.split(",")) or (
        first_match(table.frame, (names,)) is not None
    )


def first_match(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """The column of the first of some names that is there: the one spelled just so, else in any case."""
    columns = [str(column) for column in frame.columns]
    column_of = {column.strip().casefold(): column for column in reversed(columns)} | {name: name for name in columns}
    spellings = (spelling for name in names for spelling in (name, name.strip().casefold()))
    return next((column_of[spelling] for spelling in spellings if spelling in column_of), None)


def _path_column(table: TextTable, asked: str | None) -> str | None:
    return _named(table, asked, "--image-column") or first_match(table.frame, IMAGE_NAMES)


def _named(table: TextTable, name: str | None, option: str) -> str | None:
    if name is None:
        return None
    match = first_match(table.frame, (name,))
    if match is None:
        raise UsageError(
            f"{option} {name}: {table.path} has no such column",
            hint=f"Its columns are {', '.join(table.frame.columns)}.",
        )
    return match


def _named_labels(table: TextTable, names: str | None) -> tuple[str, ...]:
    if names is None:
        return ()
    if "," not in names or first_match(table.frame, (names,)) is not None:
        return (_named(table, names, "--label-column") or "",)
    return tuple(_named(table, name, "--label-column") or "" for name in names.split(","))


def _usual_labels(table: TextTable) -> tuple[str, ...]:
    usual = first_match(table.frame, LABEL_NAMES)
    if usual is not None:
        return (usual,)
    wide = tuple(name for name in table.frame.columns if WIDE_NAME.fullmatch(name))
    return wide if len(wide) > 1 else ()


def _refuse(table: TextTable, path: str | None, *, needs_label: bool) -> NoReturn:
    """Show the table, and say which options name the columns that were not found."""
    names = [str(name) for name in table.frame.columns]
    missing = [*(["image"] if path is None else []), *(["label"] if needs_label else [])]
    hint, options = _advise(table, names, path, needs_label=needs_label)
    raise DataError(
        f"{table.path}: no {' and no '.join(missing)} column among {', '.join(names)}\n"
        f"{table.description}\n{_preview(table.frame)}",
        hint=hint,
        options=options,
    )


def _advise(table: TextTable, names: list[str], path: str | None, *, needs_label: bool) -> tuple[str, Sequence[str]]:
    """What to do where columns were not found, and the options that do it with the likeliest columns."""
    if any(is_image_name(name) for name in names):
        header = _header_for(names, table.delimiter)
        return f"The first line must be a header; this one looks like a row. Put a header above it: {header}", ()
    likely = path or next((name for name in names if is_image_name(table.frame[name].iloc[0])), names[0])
    others = [name for name in names if name != likely]
    if needs_label and not others:
        return "There is one column only; the table needs a path and a label for each image.", ()
    options = [] if path is not None else ["--image-column", likely]
    options += ["--label-column", others[-1]] if needs_label else []
    hint = f"Name {'them' if len(options) > 2 else 'it'} (or others): {shell_line(options)}"
    several = [name for name in names if name.casefold().startswith((*LABEL_NAMES, *ANNOTATOR_NAMES))]
    if needs_label and len(several) > 1:
        hint += f". If each annotator has one: {shell_line(['--label-column', ','.join(several)])}"
    return hint, options


def _header_for(row: list[str], delimiter: str) -> str:
    """A header for a table whose first row is this one."""
    path = next(place for place, cell in enumerate(row) if is_image_name(cell))
    label = next((place for place in reversed(range(len(row))) if place != path), None)
    names = {path: "path", label: "label"}
    return delimiter.join(names.get(place, f"column {place + 1}") for place in range(len(row)))


def _preview(frame: pd.DataFrame) -> str:
    return frame.head(3).to_string(index=False, max_colwidth=40)
