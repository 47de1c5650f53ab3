"""Every label cell of a table: whose image it labels, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from noisyclean.data.annotators import Agreement, Votes, measure_agreement
from noisyclean.data.columns import Columns, clean_labels
from noisyclean.errors import DataError
from noisyclean.types import IntArray, StrArray

__all__ = ["Annotations", "annotate", "order_classes"]


@dataclass(frozen=True)
class Annotations:
    """The cells, those of one column after those of another."""

    classes: tuple[str, ...]
    image_A: IntArray
    label_A: IntArray
    """Class index; -1 for what is no class."""
    name_A: StrArray

    def agreement(self, frame: pd.DataFrame, columns: Columns, votes: Votes) -> Agreement | None:
        """How far annotators agree; None where the table has one label for each image."""
        if columns.more_labels:
            annotator_A = pd.Series(np.repeat(np.asarray(columns.labels, dtype=object), len(frame)))
            return measure_agreement(votes, self.image_A, self.label_A, annotator_A)
        if columns.annotator is not None and len(votes.label_N) < len(frame):
            return measure_agreement(votes, self.image_A, self.label_A, frame[columns.annotator])
        return None

    def words_without_label(self, votes: Votes) -> StrArray:
        """What stands in the cells of images that have no class; empty where nothing does, or where there is one."""
        word_N = np.full(len(votes.label_N), "", dtype=object)
        for cell in np.flatnonzero((self.label_A < 0) & (self.name_A != "")):
            if votes.label_N[self.image_A[cell]] < 0:
                word_N[self.image_A[cell]] = self.name_A[cell]
        return word_N

    def unheard(self, unlabelled: frozenset[str]) -> list[str]:
        """Words of ``--unlabeled`` that no label is."""
        missing = sorted(unlabelled - set(self.name_A))
        return [f"--unlabeled {', '.join(missing)}: no image has this label"] if missing else []


def annotate(
    frame: pd.DataFrame,
    columns: Columns,
    image_R: IntArray,
    unlabelled: frozenset[str],
    classes: tuple[str, ...] | None,
    *,
    is_folders: bool,
) -> Annotations:
    """Read the label cells.

    Args:
        frame: The table.
        columns: Which of its columns are labels.
        image_R: Which image each of its rows is about.
        unlabelled: Words that mean there is no label.
        classes: The only classes there are; None for those that occur.
        is_folders: Whether labels are the names of folders; for the message.

    Raises:
        DataError: There is one class only.
    """
    name_A = np.concatenate([clean_labels(frame[column]) for column in columns.labels])
    if classes is None:
        classes = order_classes([name for name in set(name_A) - unlabelled if name])
        _refuse_one_class(classes, name_A, is_folders=is_folders)
    label_A = pd.Index(classes).get_indexer(pd.Index(name_A)).astype(np.int64)
    return Annotations(classes, np.tile(image_R, len(columns.labels)), label_A, name_A)


def order_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """Distinct class names, sorted; numerically when all of them are integers."""
    names = sorted(set(labels))
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(names)


def _refuse_one_class(classes: tuple[str, ...], name_A: StrArray, *, is_folders: bool) -> None:
    if len(classes) >= 2:
        return
    message = f"only one class ({', '.join(classes) or 'none'}): there is nothing to confuse"
    hint = "Check the label column; audits need at least two classes."
    if is_folders:
        num_loose = int((name_A == "").sum())
        message += f"; {num_loose:,} images lie in no class folder" if num_loose else ""
        hint = "Give a table of labels as LABELS, or sort the images into at least two folders, IMAGES/CLASS/image.jpg."
    raise DataError(message, hint=hint)
