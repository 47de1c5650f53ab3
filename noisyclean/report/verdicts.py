"""What annotators decided: their tables read back, checked, and settled where several people judged.

A verdict table is our ``flagged.csv`` or the ``verdicts.csv`` of the page, also after a spreadsheet rewrote it: with
other separators, columns in another order or left out, numbers without their zeros, apostrophes gone or kept.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from noisyclean.data.columns import IMAGE_NAMES, first_match
from noisyclean.data.shielding import restore
from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError

__all__ = ["WORDS", "Decision", "Suggestion", "Verdict", "decide", "latest_verdicts", "read_verdicts"]

WORDS = ("keep", "relabel", "unsure", "bad")
SHOWN_ERRORS = 5


@dataclass(frozen=True)
class Suggestion:
    """What a run says of one image."""

    given_label: str
    suggested_label: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one reviewer says of one image."""

    reviewer: str
    image_path: str
    given_label: str
    verdict: str
    new_label: str
    """The label that is right according to this reviewer; empty for unsure and bad."""
    comment: str = ""


@dataclass(frozen=True)
class Decision:
    """What all reviewers together say of one image."""

    outcome: str
    """``kept``, ``relabelled``, ``unsure``, ``bad`` or ``conflict``."""
    new_label: str = ""
    """The right label, where it is decided."""


@dataclass(frozen=True)
class _Row:
    """The cells of one row that count."""

    image_path: str
    verdict: str
    reviewed_label: str
    given_label: str
    suggested_label: str
    comment: str


def read_verdicts(
    table: TextTable,
    reviewer: str,
    *,
    images: Mapping[str, Suggestion],
    classes: tuple[str, ...],
    allow_new_labels: bool = False,
) -> list[Verdict]:
    """Read one reviewer's table; rows without a verdict are skipped.

    Args:
        table: The table.
        reviewer: Whose it is.
        images: What the run says, by image path.
        classes: Class names of the run.
        allow_new_labels: Whether a reviewer may name a class that is not there yet.

    Raises:
        DataError: A column is missing, or rows hold what cannot be understood; the first are shown.
    """
    paths = _PathFinder(images)
    names = _LabelFinder(classes, allow_new_labels=allow_new_labels)
    verdicts: list[Verdict] = []
    errors: list[str] = []
    for number, row in zip(table.row_N.tolist(), _rows(table), strict=True):
        if not row.verdict and not row.reviewed_label:
            continue
        try:
            verdicts.append(_understand(row, reviewer, paths, names, images))
        except ValueError as error:
            errors.append(f"row {number}: {error}")
    if errors:
        more = f"\n… and {len(errors) - SHOWN_ERRORS:,} more rows" if len(errors) > SHOWN_ERRORS else ""
        raise DataError(
            f"{table.path}: " + "\n".join(errors[:SHOWN_ERRORS]) + more,
            hint=f"Nothing was merged. Verdict words are {', '.join(WORDS)}.",
        )
    return verdicts


def decide(verdicts: Iterable[Verdict]) -> dict[str, Decision]:
    """Settle each image: reviewers who are sure must agree, and who is unsure abstains.

    Args:
        verdicts: In the order they came; a reviewer's later verdict on an image replaces the earlier one.
    """
    return {path: _settle(list(by_reviewer.values())) for path, by_reviewer in latest_verdicts(verdicts).items()}


def latest_verdicts(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Verdict]]:
    """The verdicts that count, by image and reviewer; arguments as for :func:`decide`."""
    latest: dict[str, dict[str, Verdict]] = {}
    for verdict in verdicts:
        latest.setdefault(verdict.image_path, {})[verdict.reviewer] = verdict
    return latest


def _settle(verdicts: list[Verdict]) -> Decision:
    sure = [verdict for verdict in verdicts if verdict.verdict != "unsure"]
    answers = {(verdict.verdict == "bad", verdict.new_label) for verdict in sure}
    if not sure:
        return Decision("unsure")
    if len(answers) > 1:
        return Decision("conflict")
    if sure[0].verdict == "bad":
        return Decision("bad")
    changed = any(verdict.new_label != verdict.given_label for verdict in sure)
    return Decision("relabelled" if changed else "kept", sure[0].new_label)


def _understand(
    row: _Row, reviewer: str, paths: _PathFinder, names: _LabelFinder, images: Mapping[str, Suggestion]
) -> Verdict:
    """One row as a verdict.

    Raises:
        ValueError: It makes no sense; the message says why.
    """
    path = paths.find(row.image_path)
    judged = images[path]
    if names.is_another(row.given_label, judged.given_label):
        raise ValueError(
            f"{path!r} is given as {row.given_label!r} here and as {judged.given_label!r} in the run: "
            "are these verdicts of another run?"
        )
    word = row.verdict.casefold() or "relabel"
    if word not in WORDS:
        near = difflib.get_close_matches(word, WORDS, n=1)
        raise ValueError(f"verdict {row.verdict!r} is unknown" + (f"; did you mean {near[0]}?" if near else ""))
    new_label = ""
    if word == "keep":
        new_label = judged.given_label
        if row.reviewed_label and names.find(row.reviewed_label) != new_label:
            raise ValueError(f"verdict keep, but reviewed_label is {row.reviewed_label!r} and not {new_label!r}")
    elif word == "relabel":
        seen = names.known(row.suggested_label) or judged.suggested_label  # the run may suggest another one by now
        new_label = names.find(row.reviewed_label) if row.reviewed_label else seen
        if not row.reviewed_label and new_label in ("", judged.given_label):
            raise ValueError(
                f"verdict relabel without reviewed_label, and the run suggests no other label for {path!r}"
            )
    return Verdict(
        reviewer=reviewer,
        image_path=path,
        given_label=judged.given_label,
        verdict=word,
        new_label=new_label,
        comment=row.comment,
    )


def _rows(table: TextTable) -> Iterable[_Row]:
    path = first_match(table.frame, IMAGE_NAMES)
    verdict = first_match(table.frame, ("verdict",))
    if path is None or verdict is None:
        missing = "verdict" if path is not None else "image_path"
        raise DataError(
            f"{table.path}: has no column {missing} among {', '.join(table.frame.columns)}",
            hint="Verdicts are rows of flagged.csv, or the file that report.html downloads.",
        )
    others = [
        first_match(table.frame, (name,)) for name in ("reviewed_label", "given_label", "suggested_label", "comment")
    ]
    blank = pd.Series([""] * len(table.frame), dtype=object)
    columns = [table.frame[path], table.frame[verdict]] + [
        blank if name is None else table.frame[name] for name in others
    ]
    return (
        _Row(cells[0], cells[1].strip(), _clean(cells[2]), _clean(cells[3]), _clean(cells[4]), restore(cells[5]))
        for cells in zip(*columns, strict=True)
    )


def _clean(cell: str) -> str:
    return restore(unicodedata.normalize("NFC", cell.strip()))


class _PathFinder:
    """Finds a run's image from a cell that a spreadsheet may have touched."""

    def __init__(self, images: Mapping[str, Suggestion]) -> None:
        self._images = images
        self._loose: dict[str, str] | None = None

    def find(self, cell: str) -> str:
        for path in (cell, restore(cell)):
            if path in self._images:
                return path
        if self._loose is None:
            self._loose = {_loosened(path): path for path in self._images}
        found = self._loose.get(_loosened(restore(cell.strip())))
        if found is None:
            raise ValueError(f"image {cell!r} is not in the run")
        return found


class _LabelFinder:
    """Finds a class from what a person typed or a spreadsheet made of it: case, leading zeros, TRUE for true."""

    def __init__(self, classes: tuple[str, ...], *, allow_new_labels: bool) -> None:
        self._classes = classes
        self._allow_new = allow_new_labels

    def find(self, label: str) -> str:
        """The class that is meant.

        Raises:
            ValueError: There is none, and new ones are not allowed.
        """
        found = self.known(label)
        if found or self._allow_new:
            return found or label
        near = difflib.get_close_matches(label, self._classes, n=1, cutoff=0.5)
        advice = f"; did you mean {near[0]!r}?" if near else f"; classes are {', '.join(self._classes[:8])}"
        raise ValueError(f"label {label!r} is no class of the run{advice} (--allow-new-labels adds classes)")

    def is_another(self, label: str, given_label: str) -> bool:
        """Whether a cell that should repeat the given label names another class; a damaged cell names none."""
        return self.known(label) not in ("", given_label)

    def known(self, label: str) -> str:
        """The class that a cell names; empty where it names none."""
        if label in self._classes:
            return label
        for key in (str.casefold, _as_number):
            wanted = key(label)
            matches = [name for name in self._classes if wanted is not None and key(name) == wanted]
            if len(matches) == 1:
                return matches[0]
        return ""


def _as_number(label: str) -> float | None:
    try:
        return float(label.replace(",", "."))
    except ValueError:
        return None


def _loosened(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/"))
