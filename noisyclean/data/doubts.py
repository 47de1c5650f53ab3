"""What is odd about a table, said before work starts: contradictions, classes that may be none."""

from __future__ import annotations

import numpy as np
import pandas as pd

from noisyclean.data.tables import TextTable
from noisyclean.types import IntArray, LabelTable

__all__ = ["doubts_about"]

FEW_IMAGES = 20
"""Below this many, as many classes as images are no sign of a wrong column."""
SEPARATORS = ("|", ";", ",")
"""What people put between several labels in one cell."""
SHOWN = 6


def doubts_about(table: LabelTable, text: TextTable, image_R: IntArray) -> tuple[str, ...]:
    """Warnings, each a sentence that says what was done and what else might have been meant.

    Args:
        table: One row for each image.
        text: The table as it was read.
        image_R: Which image each of its rows is of.
    """
    warnings = [
        *_about_conflicts(table, text, image_R),
        *_about_spellings(table.classes),
        *_about_several_labels(table.classes),
    ]
    if len(table) >= FEW_IMAGES and 2 * table.num_classes > len(table):
        warnings.append(f"{table.num_classes:,} classes for {len(table):,} images: is this the column of labels?")
    return tuple(warnings)


def _about_conflicts(table: LabelTable, text: TextTable, image_R: IntArray) -> list[str]:
    rows = np.flatnonzero(table.rival_N >= 0) if table.rival_N is not None else np.empty(0, dtype=np.int64)
    if not len(rows):
        return []
    where = text.row_N[image_R == rows[0]]
    return [
        f"{len(rows):,} images have two labels and are flagged as conflicts; the first is "
        f"{table.image_path_N[rows[0]]!r} in rows {', '.join(map(str, where))}. "
        "If several annotators judged each image, name their column: --annotator-column"
    ]


def _about_spellings(classes: tuple[str, ...]) -> list[str]:
    """Names that a reader takes for one: of one spelling but for case, or of one number, as ``5`` and ``05``."""
    names = pd.Series(classes, dtype=object)
    numbers = pd.to_numeric(names, errors="coerce")
    alike = {
        "differ in case only": names.str.casefold().duplicated(keep=False),
        "are the same number": numbers.duplicated(keep=False) & numbers.notna(),
    }
    return [
        f"classes that {how} are kept apart: {', '.join(names[twins][:SHOWN])}"
        for how, twins in alike.items()
        if twins.any()
    ]


def _about_several_labels(classes: tuple[str, ...]) -> list[str]:
    """Cells that hold several labels: their parts come back in other cells."""
    for separator in SEPARATORS:
        joined = [name for name in classes if separator in name]
        parts = [part.strip() for name in joined for part in name.split(separator)]
        alone = set(classes) - set(joined)
        if joined and all(part in alone or parts.count(part) > 1 for part in parts):
            return [
                f"{len(joined):,} classes such as {joined[0]!r} look like several labels in one cell; noisyclean knows "
                "one label for each image and takes each for a class of its own"
            ]
    return []
