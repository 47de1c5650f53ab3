"""Stage ``prepare``: every image decoded once; unusable rows quarantined with a reason and never dropped in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import exclusive_lock, fingerprint, refuse_place, write_text
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import keep_freed_memory
from noisyclean.base.wording import shortened
from noisyclean.config import Plan
from noisyclean.data.conflicts import Conflicts, find_conflicts
from noisyclean.data.decode import PixelMapping
from noisyclean.data.formats import HEIC_ADVICE, can_read_heic, needs_heic
from noisyclean.data.ingest import Ingested, IngestOptions, read_labels, select_rows
from noisyclean.data.journal import IMAGES, JOURNAL
from noisyclean.data.known import KnownImages
from noisyclean.data.rows import ImageRows
from noisyclean.data.shielding import neutralise
from noisyclean.data.store import ImageStore, build_store, open_store
from noisyclean.errors import DataError, UsageError
from noisyclean.pipeline.rundir import RunDir, refuse_inside
from noisyclean.pipeline.stage import Stage, run_stage, stage_outputs
from noisyclean.report.flags import to_csv
from noisyclean.types import BoolArray, LabelTable, StrArray

__all__ = [
    "Prepared",
    "cache_folder",
    "enough_max_bad",
    "pixel_mapping",
    "prepare_stage",
    "quarantine_csv",
    "read_aloud",
    "refuse_too_many",
    "stored_images",
]

STAGE = "prepare"
QUARANTINE = "quarantine.csv"
LISTED = "quarantine.listed.csv"
"""In the stage's folder, the list as it was written last: the other may have got notes since."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Pixels and labels of the usable rows, aligned."""

    stage: Stage
    everything: LabelTable
    """All rows of the input table."""
    usable_N: BoolArray
    """Which of them can be used."""
    table: LabelTable
    """The usable rows; N from here on."""
    images_NHWI: ImageRows
    content_N: StrArray
    """SHA-256 of each usable file; equal where two files are the same picture."""
    conflicts: Conflicts
    """Usable rows whose picture has another label too."""
    num_left_out: int
    """Rows of the input that name no image; in the quarantine too."""
    facts: Mapping[str, Any]
    """What was read and chosen, for ``summary.json``."""
    notes: tuple[str, ...]
    """What was noticed while decoding."""


def pixel_mapping(plan: Plan) -> PixelMapping:
    """How this plan turns a file into pixels."""
    window = (plan.prepare.black, plan.prepare.white)
    return PixelMapping(size_px=plan.prepare.size_px, policy=plan.prepare.policy, window=window)


def cache_folder(asked: str | Path | None, images: Path) -> Path | None:
    """Where decoded images are shared between runs: as asked, else ``NOISYCLEAN_CACHE_DIR``, else nowhere.

    Raises:
        UsageError: Nothing can be written there, or it lies in IMAGES.
    """
    named = str(asked or os.environ.get("NOISYCLEAN_CACHE_DIR", ""))
    if not named:
        return None
    option = "--cache" if asked else "NOISYCLEAN_CACHE_DIR"
    refuse_place(Path(named), option, is_folder=True)
    refuse_inside(images, Path(named), option)
    return Path(named).absolute()


def stored_images(run: RunDir) -> Path:
    """The store of a prepared run, in the run or in a cache.

    Raises:
        UsageError: It is gone.
    """
    images = next(path for path in stage_outputs(run, STAGE) if path.name == IMAGES)
    if not images.exists():
        raise UsageError(
            f"{images.parent}: the decoded images of {run.root} are gone",
            hint="The command that made the run makes them again.",
        )
    return images.parent


def prepare_stage(
    run: RunDir,
    ingested: Ingested,
    plan: Plan,
    *,
    inputs: Mapping[str, str],
    reporter: Reporter,
    cache: Path | None = None,
    stores: Sequence[Path] = (),
) -> Prepared:
    """Decode, and set aside what cannot be used.

    Args:
        run: The run directory.
        ingested: The table.
        plan: The plan.
        inputs: Fingerprints of table and files.
        reporter: Hears about the progress.
        cache: Where decoded images are kept instead of in the run; all stores there are looked into.
        stores: More stores to take decoded images from.

    Raises:
        DataError: More rows are unusable than ``--max-bad`` allows.
    """
    table = ingested.table
    listed = np.flatnonzero(ingested.problem_N == "")
    mapping = pixel_mapping(plan)
    files = table.file_N[listed].tolist()

    def work(folder: Path) -> list[Path]:
        _list_unusable(run, ingested, ingested.problem_N)
        _refuse_too_many(run, ingested, ingested.problem_N, plan.prepare.max_bad, reporter)
        keep_freed_memory()
        with _place_for(folder, cache, [asdict(mapping), files, ingested.stamps]) as place:
            known = KnownImages([*stores, *_siblings(place, cache)], mapping)
            build_store(place, files, mapping, threads=plan.threads, reporter=reporter, known=known)
        return [place / IMAGES, place / JOURNAL]

    settings = {"pixels": asdict(mapping)}
    stage = run_stage(run, STAGE, work, settings=settings, inputs=inputs, reporter=reporter)
    store = open_store(stored_images(run))
    problem_N = _problems(ingested, store)
    _list_unusable(run, ingested, problem_N)
    _refuse_too_many(run, ingested, problem_N, plan.prepare.max_bad, reporter)
    usable_N = problem_N == ""
    num_bad = int((~usable_N).sum()) + len(ingested.left_out)
    where = f": {QUARANTINE} lists them" if num_bad else ""
    reporter.say(f"{int(usable_N.sum()):,} images ready, {num_bad:,} rows in quarantine{where}")
    notes = _decoding_notes(store, table.image_path_N[listed])
    for note in notes:
        reporter.say(note)
    kept = usable_N[listed]
    return Prepared(
        stage=stage,
        everything=table,
        usable_N=usable_N,
        table=select_rows(table, usable_N),
        images_NHWI=ImageRows(store.images_NHWI).where(kept),
        content_N=store.content_N[kept],
        conflicts=find_conflicts(select_rows(table, usable_N), store.content_N[kept]),
        num_left_out=len(ingested.left_out),
        facts=ingested.facts,
        notes=notes,
    )


def read_aloud(
    images: Path,
    labels: Path | None,
    options: IngestOptions,
    *,
    classes: tuple[str, ...] | None = None,
    reporter: Reporter,
) -> Ingested:
    """Read the table, say what was chosen, and, before hours of work, what this installation cannot decode.

    Args and errors are those of :func:`~noisyclean.data.ingest.read_labels`.
    """
    ingested = read_labels(images, labels, options, classes=classes)
    for note in ingested.notes:
        reporter.say(note)
    for warning in ingested.warnings:
        reporter.warn(warning)
    num_heic = needs_heic(ingested.table.file_N)
    if num_heic and not can_read_heic():
        reporter.warn(f"{num_heic:,} images go to quarantine: {HEIC_ADVICE}")
    return ingested


def refuse_too_many(ingested: Ingested, problem_N: StrArray, max_bad: float) -> None:
    """Stop where more rows are unusable than the user allows; rows set aside on purpose do not count.

    Raises:
        DataError: There are too many, or nothing is left.
    """
    table = ingested.table
    bad = np.flatnonzero((problem_N != "") & ~ingested.set_aside_N)
    num = int((~ingested.set_aside_N).sum())
    if not num:
        raise DataError(
            f"not one row is left: all {len(table):,} are set aside; "
            f"the first, of {table.image_path_N[0]!r}: {problem_N[0]}",
            hint="Give a table of which some rows can be used.",
        )
    if len(bad) == num and (table.label_N[bad] < 0).all():
        raise DataError(
            f"not one label can be used; the first, of {table.image_path_N[bad[0]]!r}: {problem_N[bad[0]]}",
            hint=f"Known classes are {shortened(table.classes)}. Is it the right column? --label-column",
        )
    if len(bad) == num:
        raise DataError(
            f"not one image can be used; the first, {table.image_path_N[bad[0]]!r}, {problem_N[bad[0]]}",
            hint="Is IMAGES the right folder?",
        )
    option = enough_max_bad(len(bad), num, max_bad)
    if option:
        first = bad[0]
        raise DataError(
            f"{len(bad):,} of {num:,} rows cannot be used; "
            f"the first is row {table.row_N[first]}, {table.image_path_N[first]!r}: {problem_N[first]}",
            hint=f"Mend them, or go on without them: {option}",
        )


def enough_max_bad(num_bad: int, num: int, max_bad: float) -> str:
    """The option that goes on with so many of ``num`` rows unusable; empty where ``max_bad`` does."""
    return f"--max-bad {np.ceil(100 * num_bad / num) / 100:.2f}" if num_bad / num > max_bad else ""


def _list_unusable(run: RunDir, ingested: Ingested, problem_N: StrArray) -> None:
    """Write which rows cannot be used and why, also where they are too many; a list that says so already stays.

    It is no output of the stage: row numbers and rows without a path, which it lists, do not make the stage work again.
    """
    path, listed = run.root / QUARANTINE, run.stage_folder(STAGE) / LISTED
    if not (problem_N != "").any() and not ingested.left_out:
        path.unlink(missing_ok=True)
        return
    text = quarantine_csv(ingested, problem_N)
    if path.exists() and listed.exists() and listed.read_bytes() == text.encode():
        return
    write_text(path, text, encoding="utf-8-sig")
    write_text(listed, text)


def _refuse_too_many(run: RunDir, ingested: Ingested, problem_N: StrArray, max_bad: float, reporter: Reporter) -> None:
    """Stop where too many rows cannot be used, and say where they are listed.

    Raises:
        DataError: They are too many.
    """
    try:
        refuse_too_many(ingested, problem_N, max_bad)
    except DataError:
        reporter.warn(f"{run.root / QUARANTINE} lists the rows that cannot be used")
        raise


@contextmanager
def _place_for(folder: Path, cache: Path | None, identity: object) -> Iterator[Path]:
    """Where the store is built: in the stage's folder, or in the cache under a name that tells what it holds."""
    if cache is None:
        yield folder
        return
    place = cache / "stores" / fingerprint(identity)
    with exclusive_lock(place / ".lock"):
        yield place


def _siblings(place: Path, cache: Path | None) -> list[Path]:
    return [] if cache is None else [folder for folder in sorted(place.parent.iterdir()) if folder != place]


def _problems(ingested: Ingested, store: ImageStore) -> StrArray:
    """Why each row of the input cannot be used; the store holds the rows that had no problem before decoding."""
    problem_N = ingested.problem_N.copy()
    problem_N[ingested.problem_N == ""] = store.failure_N
    return problem_N


def _decoding_notes(store: ImageStore, image_path_N: StrArray) -> tuple[str, ...]:
    """What was noticed while decoding, with the images it was noticed of."""
    names: dict[str, list[str]] = {}
    for note, path in zip(store.note_N, image_path_N, strict=True):
        if note:
            names.setdefault(note, []).append(path)
    return tuple(f"{note}: {shortened(paths, 3)}" for note, paths in names.items())


def quarantine_csv(ingested: Ingested, problem_N: StrArray) -> str:
    """The rows that cannot be used, in the order of the table, each with its reason; spreadsheets run no cell of it."""
    table = ingested.table
    bad = problem_N != ""
    listed = pd.DataFrame(
        {
            "row": table.row_N[bad],
            "image_path": table.image_path_N[bad],
            "given_label": table.given_label()[bad],
            "reason": problem_N[bad],
        }
    )
    nameless = pd.DataFrame(
        {
            "row": [item.row for item in ingested.left_out],
            "image_path": "",
            "given_label": [item.given_label for item in ingested.left_out],
            "reason": [item.reason for item in ingested.left_out],
        }
    )
    frame = pd.concat([listed, nameless], ignore_index=True) if len(nameless) else listed
    return to_csv(frame.sort_values("row", kind="stable").map(neutralise))
