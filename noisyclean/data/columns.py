"""Which column holds the paths and which the labels: found by name, said aloud, overridable."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError, UsageError

__all__ = ["Columns", "choose_columns"]

IMAGE_NAMES = ("image_path", "path", "file_name", "filename", "image")
LABEL_NAMES = ("label", "class", "target")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns used, as spelled in the table."""

    image: str
    label: str
    group: str | None = None
    split: str | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are not carried through."""
        return (self.image, self.label)


def choose_columns(
    table: TextTable,
    *,
    image: str | None = None,
    label: str | None = None,
    group: str | None = None,
    split: str | None = None,
) -> Columns:
    """Find the columns by their usual names, case-insensitively; the arguments name them outright.

    Raises:
        DataError: No usual name is there; the message shows the header and three rows.
        UsageError: A named column is not there.
    """
    frame = table.frame
    return Columns(
        image=_named(table, image, "--image-column") or _usual(table, IMAGE_NAMES, "image", "--image-column"),
        label=_named(table, label, "--label-column") or _usual(table, LABEL_NAMES, "label", "--label-column"),
        group=_named(table, group, "--group-column"),
        split=_named(table, split, "--split-column") or _first_match(frame, ("split",)),
    )


def _named(table: TextTable, name: str | None, option: str) -> str | None:
    if name is None:
        return None
    match = _first_match(table.frame, (name,))
    if match is None:
        raise UsageError(
            f"{option} {name}: {table.path} has no such column",
            hint=f"Its columns are {', '.join(table.frame.columns)}.",
        )
    return match


def _usual(table: TextTable, names: tuple[str, ...], what: str, option: str) -> str:
    match = _first_match(table.frame, names)
    if match is None:
        raise DataError(
            f"{table.path}: no {what} column among {', '.join(table.frame.columns)}\n{_preview(table.frame)}",
            hint=f"Name it: {option} '{table.frame.columns[0]}' (or one of the others).",
        )
    return match


def _first_match(frame: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    by_folded = {str(column).strip().casefold(): str(column) for column in reversed(frame.columns)}
    return next((by_folded[name.casefold()] for name in names if name.casefold() in by_folded), None)


def _preview(frame: pd.DataFrame) -> str:
    return frame.head(3).to_string(index=False, max_colwidth=40)
