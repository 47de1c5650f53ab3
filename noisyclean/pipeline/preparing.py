"""Stage ``prepare``: every image decoded once; unusable rows quarantined with a reason and never dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyclean.base.files import write_text
from noisyclean.base.log import Reporter
from noisyclean.config import Plan
from noisyclean.data.decode import PixelMapping
from noisyclean.data.ingest import Ingested, select_rows
from noisyclean.data.store import IMAGES, JOURNAL, ImageStore, build_store, open_store
from noisyclean.errors import DataError
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, run_stage
from noisyclean.report.flags import to_csv
from noisyclean.types import BoolArray, LabelTable, StrArray

__all__ = ["Prepared", "prepare_stage"]


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
    images_NHWI: NDArray[np.uint8]
    content_N: StrArray
    """SHA-256 of each usable file; equal where two files are the same picture."""


def pixel_mapping(plan: Plan) -> PixelMapping:
    """How this plan turns a file into pixels."""
    return PixelMapping(size_px=plan.prepare.size_px, policy=plan.prepare.policy)


def prepare_stage(
    run: RunDir, ingested: Ingested, plan: Plan, *, inputs: Mapping[str, str], reporter: Reporter
) -> Prepared:
    """Decode, and set aside what cannot be used.

    Raises:
        DataError: More rows are unusable than ``--max-bad`` allows.
    """
    table = ingested.table
    listed = np.flatnonzero(ingested.problem_N == "")
    mapping = pixel_mapping(plan)

    def work(folder: Path) -> list[Path]:
        files = table.file_N[listed].tolist()
        store = build_store(folder, files, mapping, threads=plan.threads, reporter=reporter)
        problem_N = _problems(ingested, store)
        _refuse_too_many(problem_N, table, plan.prepare.max_bad)
        outputs = [folder / IMAGES, folder / JOURNAL]
        if (problem_N != "").any():
            write_text(run.root / "quarantine.csv", _quarantine(table, problem_N))
            outputs.append(run.root / "quarantine.csv")
        return outputs

    stage = run_stage(run, "prepare", work, settings={"pixels": asdict(mapping)}, inputs=inputs, reporter=reporter)
    store = open_store(stage.folder)
    problem_N = _problems(ingested, store)
    usable_N = problem_N == ""
    reporter.say(f"{int(usable_N.sum()):,} images ready, {int((~usable_N).sum()):,} rows in quarantine")
    return Prepared(
        stage=stage,
        everything=table,
        usable_N=usable_N,
        table=select_rows(table, usable_N),
        images_NHWI=store.images_NHWI if usable_N.all() else store.images_NHWI[usable_N[listed]],
        content_N=store.content_N[usable_N[listed]],
    )


def _problems(ingested: Ingested, store: ImageStore) -> StrArray:
    """Why each row of the input cannot be used; the store holds the rows that had no problem before decoding."""
    problem_N = ingested.problem_N.copy()
    problem_N[ingested.problem_N == ""] = store.failure_N
    return problem_N


def _refuse_too_many(problem_N: StrArray, table: LabelTable, max_bad: float) -> None:
    bad = np.flatnonzero(problem_N != "")
    if len(bad) == len(table):
        raise DataError(
            f"not one image can be used; the first, {table.image_path_N[bad[0]]!r}, {problem_N[bad[0]]}",
            hint="Is IMAGES the right folder?",
        )
    if len(bad) > max_bad * len(table):
        first = bad[0]
        raise DataError(
            f"{len(bad):,} of {len(table):,} rows cannot be used; "
            f"the first is row {table.row_N[first]}, {table.image_path_N[first]!r}: {problem_N[first]}",
            hint=f"Mend them, or go on without them: --max-bad {len(bad) / len(table):.2f}",
        )


def _quarantine(table: LabelTable, problem_N: StrArray) -> str:
    bad = problem_N != ""
    frame = pd.DataFrame(
        {
            "row": table.row_N[bad],
            "image_path": table.image_path_N[bad],
            "given_label": table.given_label()[bad],
            "reason": problem_N[bad],
        }
    )
    frame.loc[frame["reason"] == "no label", "given_label"] = ""
    return to_csv(frame)
