"""From IMAGES and LABELS to one frozen :class:`~noisyclean.types.LabelTable`, every choice said aloud."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import fingerprint
from noisyclean.base.places import require_images
from noisyclean.base.wording import quoted, shortened
from noisyclean.data.annotations import Annotations, annotate
from noisyclean.data.annotators import Agreement, Votes, count_votes
from noisyclean.data.columns import Columns, choose_columns, clean_labels, has_columns
from noisyclean.data.doubts import doubts_about
from noisyclean.data.encodings import LAST_GUESS
from noisyclean.data.folders import table_from_folders
from noisyclean.data.groups import number_groups, refuse_one_group
from noisyclean.data.paths import Located, Stamp, locate
from noisyclean.data.tables import TextTable, read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.types import BoolArray, IntArray, LabelTable, StrArray

__all__ = ["EMPTY_ROW", "IngestOptions", "Ingested", "LeftOut", "as_far_as_in", "read_labels", "select_rows"]

EMPTY_ROW = "empty row"
GUESSED = f"The table was read as {LAST_GUESS}, the last guess; if its names look odd, tell the encoding: --encoding"


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """How to read the table; everything is found out by default."""

    encoding: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    annotator_column: str | None = None
    class_level: int | None = None
    """Level of the folders that name the class, where there is no table."""
    unlabeled: str | None = None
    """Labels, separated by commas, that mean there is none."""
    strip_prefix: str | None = None
    """Taken off every path before it is looked for."""

    def require_sense(self, labels: Path | None) -> None:
        """Refuse what a user asks for and would not get.

        Raises:
            UsageError: A level of folders although a table names the classes.
        """
        if labels is not None and self.class_level is not None:
            raise UsageError(
                f"--class-level {self.class_level}: {labels} names the classes, not the folders",
                hint="Leave the table out, or --class-level.",
            )


def as_far_as_in(table: TextTable, options: IngestOptions) -> IngestOptions:
    """The options of one table for reading another like it, without the columns that this one does not have."""
    named = {name: value for name, value in vars(options).items() if name.endswith("_column") and value is not None}
    lacking = [name for name, value in named.items() if not has_columns(table, value)]
    return replace(options, **dict.fromkeys(lacking))


@dataclass(frozen=True)
class LeftOut:
    """A row of the input that names no image."""

    row: int
    given_label: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """A label table, the rows that cannot be used and why, and what was chosen on the way."""

    table: LabelTable
    problem_N: StrArray
    """Why a row cannot be used; empty where it can."""
    set_aside_N: BoolArray
    """Rows that are not used because the user said so; they do not count as bad."""
    left_out: tuple[LeftOut, ...]
    stamps: list[Stamp]
    """Size and time of change of each file."""
    facts: dict[str, Any]
    """What was read and chosen, for ``summary.json``."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def num_usable(self) -> int:
        """Rows that nothing is known against yet."""
        return int((self.problem_N == "").sum())

    @property
    def files_fingerprint(self) -> str:
        """Hash of the sizes and times of all files; a changed image changes it."""
        return fingerprint(self.stamps)


def read_labels(
    images: Path,
    labels: Path | None,
    options: IngestOptions | None = None,
    *,
    classes: tuple[str, ...] | None = None,
) -> Ingested:
    """Read a label table, or a folder per class where ``labels`` is None.

    Args:
        images: The images folder; never written to.
        labels: A table of any kind :func:`~noisyclean.data.tables.read_table` reads.
        options: Overrides of what is found out.
        classes: The only classes there are; by default those that occur.

    Raises:
        DataError: The folder, the table, its columns or its paths cannot be used, or there is one class only.
        UsageError: A named column does not exist.
        EnvironmentProblem: The table's kind needs an extra.
    """
    options = options or IngestOptions()
    require_images(images)
    if labels is not None:
        text = read_table(labels, encoding=options.encoding)
    else:
        text = table_from_folders(images, class_level=options.class_level)
    columns = choose_columns(
        text,
        image=options.image_column,
        label=options.label_column,
        group=options.group_column,
        split=options.split_column,
        annotator=options.annotator_column,
    )
    text, left_out = _without_pathless(text, columns)
    folder = labels.parent if labels is not None else images
    paths = text.frame[columns.image].tolist()
    doubt = GUESSED if options.encoding is None and text.encoding.codec == LAST_GUESS else ""
    row_N = None if text.kind == "folders" else text.row_N
    located = locate(paths, images, folder, row_N=row_N, prefix=options.strip_prefix, doubt=doubt, table=text.path)
    return _settle(text, columns, located, left_out, _words(options.unlabeled), classes)


def select_rows(table: LabelTable, keep_N: BoolArray) -> LabelTable:
    """The same table with some rows only; classes and fingerprint stay."""
    columns = {field.name: getattr(table, field.name) for field in fields(table) if field.name.endswith("_N")}
    picked: dict[str, Any] = {name: None if column is None else column[keep_N] for name, column in columns.items()}
    return replace(table, carried=table.carried.loc[keep_N].reset_index(drop=True), **picked)


def _words(text: str | None) -> frozenset[str]:
    """Names separated by commas, as labels are compared."""
    return frozenset(clean_labels(pd.Series((text or "").split(","), dtype=object))) - {""}


def _without_pathless(text: TextTable, columns: Columns) -> tuple[TextTable, tuple[LeftOut, ...]]:
    """Leave out blank rows and rows without a path, and list them."""
    left_out = [LeftOut(row, "", EMPTY_ROW) for row in text.blank_rows]
    has_path = np.asarray([bool(path and not path.isspace()) for path in text.frame[columns.image]])
    if not has_path.all():
        labels = text.frame.loc[~has_path, columns.label]
        rows = text.row_N[~has_path]
        left_out += [LeftOut(int(row), label, "no image path") for row, label in zip(rows, labels, strict=True)]
        frame = text.frame.loc[has_path].reset_index(drop=True)
        text = replace(text, frame=frame, row_N=text.row_N[has_path], num_pathless=len(rows))
    if text.frame.empty:
        raise DataError(f"{text.path}: no row has a path in column {columns.image!r}", hint="Name it: --image-column")
    return text, tuple(left_out)


def _settle(
    text: TextTable,
    columns: Columns,
    located: Located,
    left_out: tuple[LeftOut, ...],
    unlabelled: frozenset[str],
    known_classes: tuple[str, ...] | None,
) -> Ingested:
    """One row for each image."""
    frame = text.frame
    image_R: IntArray = pd.factorize(located.key_N)[0].astype(np.int64)
    first_N = np.flatnonzero(~pd.Series(image_R).duplicated().to_numpy())
    given = annotate(frame, columns, image_R, unlabelled, known_classes, is_folders=text.kind == "folders")
    unheard = given.unheard(unlabelled) if known_classes is None else []
    votes = count_votes(given.image_A, given.label_A, num_images=len(first_N))
    agreement = given.agreement(frame, columns, votes)
    table = _build(frame.iloc[first_N], text.row_N[first_N], columns, located, first_N, given, votes, agreement)
    word_N = given.words_without_label(votes)
    set_aside_N = np.isin(word_N, list(unlabelled))
    problem_N = _problems(votes, located.found_N[first_N], word_N, set_aside_N)
    facts = {
        "table": text.description,
        "image_column": columns.image,
        "label_columns": list(columns.labels),
        "paths": located.base,
        "num_rows": len(frame) + len(left_out),
        "num_images": len(table),
        "num_merged": len(frame) - len(table) if agreement is None else 0,
        "num_conflicts": 0 if table.rival_N is None else int((table.rival_N >= 0).sum()),
        "problems": _tally([*problem_N[problem_N != ""], *(item.reason for item in left_out)]),
        "agreement": None if agreement is None else asdict(agreement),
    }
    return Ingested(
        table=table,
        problem_N=problem_N,
        set_aside_N=set_aside_N,
        left_out=left_out,
        stamps=[located.stamps[row] for row in first_N],
        facts=facts,
        notes=(*_notes(text, columns, table, facts), *located.notes, *text.notes),
        warnings=(*located.warnings, *unheard, *doubts_about(table, text, image_R)),
    )


def _build(
    frame: pd.DataFrame,
    row_N: IntArray,
    columns: Columns,
    located: Located,
    first_N: IntArray,
    given: Annotations,
    votes: Votes,
    agreement: Agreement | None,
) -> LabelTable:
    split = None if columns.split is None else frame[columns.split].to_numpy(dtype=object)
    group = None if columns.group is None else number_groups(frame[columns.group])
    rival = votes.rival_N if agreement is None and (votes.rival_N >= 0).any() else None
    disagreement = None if agreement is None else votes.disagreement_N
    marks = {"split": split, "group": group, "rival": rival, "disagreement": disagreement}
    if group is not None:
        refuse_one_group(group, f"column {columns.group!r}", hint="Name another --group-column, or none.")
    paths = frame[columns.image].to_numpy(dtype=object)
    content = {"paths": paths.tolist(), "labels": votes.label_N.tolist(), "classes": given.classes}
    return LabelTable(
        image_path_N=paths,
        file_N=located.file_N[first_N],
        label_N=votes.label_N,
        classes=given.classes,
        row_N=row_N,
        carried=frame.drop(columns=list(columns.used)).reset_index(drop=True),
        split_N=split,
        group_N=group,
        rival_N=rival,
        disagreement_N=disagreement,
        fingerprint=fingerprint(content | {name: mark.tolist() for name, mark in marks.items() if mark is not None}),
    )


def _problems(votes: Votes, found_N: BoolArray, word_N: StrArray, set_aside_N: BoolArray) -> StrArray:
    problem_N = np.full(len(found_N), "", dtype=object)
    problem_N[~found_N] = "file not found"
    problem_N[votes.label_N < 0] = "no label"
    for row in np.flatnonzero(word_N != ""):
        problem_N[row] = f"class {word_N[row]!r} is not in the run"
    problem_N[set_aside_N] = "unlabelled, as told by --unlabeled"
    return problem_N


def _notes(text: TextTable, columns: Columns, table: LabelTable, facts: dict[str, Any]) -> list[str]:
    label_columns = " and ".join(repr(name) for name in columns.labels)
    notes = [
        text.description,
        f"images from column {columns.image!r} ({facts['paths']}), labels from column {label_columns}",
        f"{table.num_classes} classes in this order: {shortened(table.classes)}",
    ]
    if text.kind == "folders":
        notes[1] = "labels are the names of the folders"
    if table.group_N is not None:
        notes.append(f"groups from column {columns.group!r}: {len(np.unique(table.group_N)):,}")
    if table.split_N is not None and text.kind != "folders":
        notes.append(f"splits from column {columns.split!r}: {quoted(sorted(set(table.split_N)))}")
    merged = facts["num_merged"] - facts["num_conflicts"]
    if merged > 0:
        notes.append(f"{merged:,} rows repeated an image with the same label and were merged")
    if facts["agreement"] is not None:
        notes.append(_about_agreement(facts["agreement"]))
    if facts["problems"]:
        found = ", ".join(f"{count:,} {reason}" for reason, count in facts["problems"].items())
        notes.append(f"rows that cannot be used: {found}")
    return notes


def _about_agreement(agreement: dict[str, Any]) -> str:
    kappa = "unknown" if agreement["kappa"] is None else f"{agreement['kappa']:.2f}"
    return (
        f"{len(agreement['annotators']):,} annotators: the majority is the label, kappa {kappa}; "
        f"{agreement['num_disputed']:,} of {agreement['num_rated_twice']:,} images are disputed, "
        f"{agreement['num_ties']:,} without a majority (there the first label counts)"
    )


def _tally(reasons: list[str]) -> dict[str, int]:
    counts = pd.Series(reasons, dtype=object).value_counts(sort=False)
    return {str(reason): int(count) for reason, count in counts.items()}
