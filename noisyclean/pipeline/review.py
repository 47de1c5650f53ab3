"""``review``: annotators' verdicts merged into the labels, and nothing else changed."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import exclusive_lock, read_json, refuse_place, sha256_file, write_json, write_text
from noisyclean.base.log import Reporter, Silent
from noisyclean.base.wording import shortened
from noisyclean.data.columns import Columns, choose_columns
from noisyclean.data.folders import table_of_paths
from noisyclean.data.rewrite import label_changes, write_relabelled
from noisyclean.data.tables import TextTable, read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.export.folders import Placed, place_in_folders
from noisyclean.pipeline.finished import FinishedRun, open_finished
from noisyclean.pipeline.rundir import LOCK, refuse_inside
from noisyclean.pipeline.trail import TRAIL, WRITTEN, add_to_trail, read_trail
from noisyclean.pipeline.verdict_sources import read_all_verdicts
from noisyclean.report.flags import to_csv
from noisyclean.report.verdicts import WORDS, Decision, Verdict, decide, latest_verdicts

__all__ = ["review"]

SCHEMA_VERSION = 1
MOVES = "moves.csv"


def review(
    run: str | Path,
    verdicts: Iterable[str | Path],
    *,
    out: str | Path,
    labels: str | Path | None = None,
    to_folders: str | Path | None = None,
    allow_new_labels: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Merge verdicts into the labels that were audited.

    The table keeps its rows, columns, order, separators and encoding; only label cells of images that reviewers
    relabelled change. What was merged before into the same run counts too. Where reviewers who are sure disagree, the
    label stays as it was and the image is listed as a conflict.

    Args:
        run: A finished audit.
        verdicts: Tables with ``image_path``, ``verdict`` and perhaps ``reviewed_label``, exports of Label Studio, or
            folders that ``export`` wrote and people sorted; one file is one reviewer.
        out: The cleaned table.
        labels: The table to change; the audited one by default.
        to_folders: Also a folder per class of links to the images, in a new folder.
        allow_new_labels: Accept labels that are no class of the run.
        overwrite: Replace ``out`` even if it is not an earlier result of ours.
        reporter: Hears about messages.

    Returns:
        Numbers of verdicts, of images by outcome, of rows, and of rows changed.

    Raises:
        UsageError: The run is not finished, ``out`` would replace something, or the audited table changed since.
        DataError: A verdict table cannot be understood; nothing is merged.
    """
    reporter = reporter or Silent()
    finished = open_finished(Path(run))
    files = [Path(path) for path in verdicts]
    _refuse_targets(finished, Path(out), Path(to_folders) if to_folders else None)
    table, columns = _table_to_change(finished, Path(labels) if labels else None)
    merged = read_all_verdicts(files, finished, allow_new_labels=allow_new_labels)
    for file, items in merged.items():
        if items:
            reporter.say(f"{file}: {len(items):,} verdicts")
        else:
            reporter.warn(f"{file}: no row has a verdict; the words are {', '.join(WORDS)}")
    fresh = [verdict for items in merged.values() for verdict in items]
    fresh_ones = frozenset(fresh)
    folder = Path(to_folders) if to_folders else None
    listed = (folder or Path(out).parent) / MOVES if folder is not None or finished.labels is None else None
    with exclusive_lock(finished.root / LOCK):
        standing = latest_verdicts([*read_trail(finished.root), *fresh])
        earlier = Counter(name for said in standing.values() for name, one in said.items() if one not in fresh_ones)
        decisions = decide(one for said in standing.values() for one in said.values())
        _report_earlier(earlier, reporter)
        if not allow_new_labels:
            _refuse_new_classes(decisions, standing, finished.classes)
        spelled = _in_every_spelling(decisions, finished.scores["image_path"], table.frame[columns.image])
        changes = label_changes(table, columns, _new_labels(spelled), _with(spelled, "kept"))
        for target in [Path(out), *([listed] if listed else [])]:
            _refuse_replacing(finished.root, target, overwrite=overwrite)
        write_relabelled(table, changes, Path(out))
        _note_written(finished.root, Path(out))
        num_new = add_to_trail(finished.root, fresh, decisions)
        if listed is not None:
            _write_moves(finished, decisions, folder, listed, reporter)
            _note_written(finished.root, listed)
    _report_conflicts(decisions, standing, reporter)
    outcomes = Counter(decision.outcome for decision in decisions.values())
    return {
        "schema_version": SCHEMA_VERSION,
        "num_verdicts": len(fresh),
        "num_new_verdicts": num_new,
        "num_earlier_verdicts": earlier.total(),
        "num_reviewers": len(merged),
        **{f"num_{name}": outcomes[name] for name in ("kept", "relabelled", "unsure", "bad", "conflict")},
        "num_rows": len(table.frame),
        "num_changed": len(changes),
        "images": str(finished.images),
        "out": str(out),
        "trail": str(finished.root / TRAIL),
    }


def _table_to_change(finished: FinishedRun, asked: Path | None) -> tuple[TextTable, Columns]:
    path, options = asked or finished.labels, finished.options
    if path is None:
        table = table_of_paths(finished.images, finished.scores["image_path"], class_level=options.class_level)
        return table, choose_columns(table)
    if asked is None and (not path.exists() or sha256_file(path) != finished.labels_sha256):
        raise UsageError(
            f"{path}: {'changed since' if path.exists() else 'is gone that was used for'} the audit {finished.root}",
            hint="Audit the new table, or name the table to change outright: --labels TABLE",
        )
    table = read_table(path, encoding=options.encoding)
    columns = choose_columns(
        table, image=options.image_column, label=options.label_column, annotator=options.annotator_column
    )
    return table, columns


def _in_every_spelling(
    decisions: Mapping[str, Decision], known: Iterable[str], written: Iterable[str]
) -> dict[str, Decision]:
    """The decisions, also under other spellings of a path: rows that were taken for one image when it was audited."""
    images = set(known)
    others: dict[str, list[str]] = {}
    for path in written:
        if path not in images:
            others.setdefault(_folded(path), []).append(path)
    spellings = {other: one for path, one in decisions.items() for other in others.get(_folded(path), ())}
    return spellings | dict(decisions)


def _folded(path: str) -> str:
    """Equal for paths that some system takes for one."""
    return unicodedata.normalize("NFC", path).casefold()


def _new_labels(decisions: Mapping[str, Decision]) -> dict[str, str]:
    return {path: decision.new_label for path, decision in decisions.items() if decision.new_label}


def _with(decisions: Mapping[str, Decision], outcome: str) -> frozenset[str]:
    return frozenset(path for path, decision in decisions.items() if decision.outcome == outcome)


def _refuse_targets(finished: FinishedRun, out: Path, folder: Path | None) -> None:
    refuse_place(out)
    if finished.labels is not None and out.resolve() == finished.labels.resolve():
        raise UsageError(
            "--out is the input table", hint="Name another file; the labels as they were are worth keeping."
        )
    refuse_inside(finished.images, out)
    if folder is not None:
        refuse_place(folder, "--to-folders", is_folder=True)
        refuse_inside(finished.images, folder, "--to-folders")
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"--to-folders {folder}: is not empty", hint="Name a new folder.")


def _refuse_replacing(root: Path, out: Path, *, overwrite: bool) -> None:
    if not out.exists() or overwrite:
        return
    if _written(root).get(str(out.resolve())) != sha256_file(out):
        raise UsageError(
            f"{out}: is there already and is no earlier result of this review",
            hint="Name another --out, or add --overwrite.",
        )


def _note_written(root: Path, path: Path) -> None:
    write_json(root / WRITTEN, _written(root) | {str(path.resolve()): sha256_file(path)})


def _written(root: Path) -> dict[str, str]:
    return read_json(root / WRITTEN) if (root / WRITTEN).exists() else {}


def _report_earlier(earlier: Counter[str], reporter: Reporter) -> None:
    """Say whose verdicts count that are in none of the files."""
    if earlier:
        whose = ", ".join(f"{count:,} of {name}" for name, count in earlier.items())
        reporter.warn(
            f"{earlier.total():,} verdicts of earlier calls count too ({whose}): to withdraw some, merge a file of "
            f"that name that says unsure; to withdraw all, move {TRAIL} out of the run"
        )


def _refuse_new_classes(
    decisions: Mapping[str, Decision], standing: Mapping[str, Mapping[str, Verdict]], classes: tuple[str, ...]
) -> None:
    """What an earlier call was allowed is not allowed to this one.

    Raises:
        DataError: An earlier verdict would bring in a class that the run does not have.
    """
    for path, decision in decisions.items():
        if decision.outcome == "relabelled" and decision.new_label not in classes:
            names = ", ".join(name for name, one in standing[path].items() if one.new_label == decision.new_label)
            raise DataError(
                f"in an earlier call {names} relabelled {path} as {decision.new_label!r}, which is no class of the run",
                hint="Nothing was merged. --allow-new-labels accepts it.",
            )


def _report_conflicts(
    decisions: Mapping[str, Decision], standing: Mapping[str, Mapping[str, Verdict]], reporter: Reporter
) -> None:
    conflicts = [path for path, decision in decisions.items() if decision.outcome == "conflict"]
    if not conflicts:
        return
    first = conflicts[0]
    words = [
        f"{verdict.reviewer} says {verdict.verdict} {verdict.new_label}".strip() for verdict in standing[first].values()
    ]
    reporter.warn(
        f"reviewers disagree on {len(conflicts):,} images, which keep their labels; the first is {first} "
        f"({'; '.join(words)}). {TRAIL} in the run lists them"
    )


def _write_moves(
    finished: FinishedRun, decisions: Mapping[str, Decision], folder: Path | None, listed: Path, reporter: Reporter
) -> None:
    """Write which image goes where, and the new folders where they are wanted."""
    moves = _moves(finished, decisions)
    if folder is not None:
        place_of = _write_folders(finished, decisions, folder, reporter)
        moves = moves.assign(new_path=[place_of.get(path, "") for path in moves["image_path"]])
    write_text(listed, to_csv(moves))


def _moves(finished: FinishedRun, decisions: Mapping[str, Decision]) -> pd.DataFrame:
    """Which image goes from which class to which; images judged bad go nowhere."""
    given_of = dict(zip(finished.scores["image_path"], finished.scores["given_label"], strict=True))
    rows = [
        (path, given_of[path], decision.new_label)
        for path, decision in decisions.items()
        if path in given_of and (decision.outcome == "bad" or decision.new_label not in ("", given_of[path]))
    ]
    return pd.DataFrame(rows, columns=["image_path", "from_label", "to_label"], dtype=object)


def _write_folders(
    finished: FinishedRun, decisions: Mapping[str, Decision], folder: Path, reporter: Reporter
) -> dict[str, str]:
    """Link every image that is not bad, and has a label, under it; returns the new place of each."""
    table = finished.read_labels().table
    label_of = _new_labels(decisions)
    names = [label_of.get(path, own) for path, own in zip(table.image_path_N, table.given_label(), strict=True)]
    bad = _with(decisions, "bad")
    rows = [
        row
        for row, path in enumerate(table.image_path_N)
        if path not in bad and names[row] and Path(table.file_N[row]).exists()
    ]
    split = np.full(len(table), "", dtype=object) if table.split_N is None else table.split_N
    placed = [Placed(table.file_N[row], names[row], split[row]) for row in rows]
    places = place_in_folders(placed, folder)
    reporter.say(f"{len(places):,} images in {folder}")
    folder_of = {image.label: PurePosixPath(place).parent.name for image, place in zip(placed, places, strict=True)}
    _tell_renamed(folder_of, reporter)
    return {table.image_path_N[row]: place for row, place in zip(rows, places, strict=True)}


def _tell_renamed(folder_of: Mapping[str, str], reporter: Reporter) -> None:
    """Which classes are not called as their folders, whose names every system must allow."""
    renamed = [f"{label!r} is {name}" for label, name in sorted(folder_of.items()) if name != label]
    if renamed:
        reporter.warn(f"folders cannot have the names of all classes: {shortened(renamed)}")
