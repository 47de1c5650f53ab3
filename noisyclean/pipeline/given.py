"""Stage ``given``: arrays of the user's own, put in the order of the images and asked about every label."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from noisyclean.base.files import sha256_file
from noisyclean.base.log import Reporter
from noisyclean.config import Plan
from noisyclean.data.arrays import GivenArray, in_class_order, read_array, rows_by_id
from noisyclean.data.ingest import EMPTY_ROW, Ingested
from noisyclean.detect.given import evidence_of_arrays, require_column_for_each
from noisyclean.errors import DataError, UsageError
from noisyclean.pipeline.embedding import find_groups
from noisyclean.pipeline.evidence import EVIDENCE, read_evidence, write_evidence
from noisyclean.pipeline.learning import Learned
from noisyclean.pipeline.machine import machine
from noisyclean.pipeline.plan import PlanRequest
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import run_stage
from noisyclean.types import BoolArray, Evidence, FloatArray, IntArray

__all__ = ["check_files", "check_given", "given_stage"]

NAMES = ("embeddings", "pred_probs")


def given_stage(
    run: RunDir, ingested: Ingested, prepared: Prepared, request: PlanRequest, plan: Plan, *, reporter: Reporter
) -> Learned:
    """Judge by ``--embeddings`` and ``--pred-probs``; no net is trained.

    Raises:
        DataError: A file cannot be read, misses images, does not fit, or agrees with the labels no more than chance.
        UsageError: A file is an output of this very run.
    """
    table = prepared.table
    files = _files(request)
    for path in files.values():
        if path.resolve().is_relative_to(run.root.resolve()):
            raise UsageError(f"{path}: is written by this run", hint="Give another --out.")

    def work(folder: Path) -> Iterable[Path]:
        arrays = _read(files, ingested, prepared.usable_N)
        with machine(plan):
            evidence = evidence_of_arrays(
                table.label_N,
                classes=table.classes,
                embeddings=arrays.get("embeddings"),
                pred_probs=arrays.get("pred_probs"),
                group_N=find_groups(prepared)[1],
                disagreement_N=table.disagreement_N,
            )
        return [write_evidence(folder / EVIDENCE, evidence)]

    settings = {name: sha256_file(path)[:16] for name, path in files.items() if path.is_file()}
    inputs = {"prepare": prepared.stage.fingerprint}
    stage = run_stage(run, "given", work, settings=settings, inputs=inputs, reporter=reporter)
    evidence = read_evidence(stage.folder / EVIDENCE, num_classes=table.num_classes)
    return Learned(stage=stage, evidence=evidence, notes=_notes(evidence))


def check_files(ingested: Ingested, request: PlanRequest) -> None:
    """What is certain of the files before any image is decoded: that they are there, and their shapes.

    Raises:
        DataError: A file cannot be read or has another shape.
    """
    for name, path in _files(request).items():
        given = _open(name, path, ingested)
        if given.id_M is None:
            _rows_by_place(given, ingested)


def check_given(ingested: Ingested, request: PlanRequest) -> None:
    """What can be checked of the files before any image is decoded.

    Raises:
        DataError: A file cannot be read or misses images.
    """
    _read(_files(request), ingested, ingested.problem_N == "")


def _notes(evidence: Evidence) -> tuple[str, ...]:
    no_model = "no net was trained: there is no model folder"
    if evidence.z_ND is not None:
        return (no_model,)
    return (no_model, "no embeddings were given: there is no embeddings.npz, and neighbours were not asked")


def _files(request: PlanRequest) -> dict[str, Path]:
    asked = {name: getattr(request, name) for name in NAMES}
    return {name: Path(path) for name, path in asked.items() if path}


def _read(files: dict[str, Path], ingested: Ingested, usable_N: BoolArray) -> dict[str, FloatArray]:
    """The arrays by name, a row for each usable image."""
    arrays: dict[str, FloatArray] = {}
    for name, path in files.items():
        given = _open(name, path, ingested)
        paths = ingested.table.image_path_N[usable_N]
        rows = _rows_by_place(given, ingested)[usable_N] if given.id_M is None else rows_by_id(given, paths)
        arrays[name] = np.asarray(given.values_MD)[rows]
    return arrays


def _open(name: str, path: Path, ingested: Ingested) -> GivenArray:
    """One file's array, probabilities in the order of the classes."""
    given = read_array(path)
    if name == "pred_probs":
        given = in_class_order(given, ingested.table.classes)
        require_column_for_each(ingested.table.classes, given.values_MD)
    return given


def _rows_by_place(given: GivenArray, ingested: Ingested) -> IntArray:
    """The array's row of each image of the table, where the array is in the order of LABELS' rows.

    Blank rows have a row in the array or none: readers of tables differ in that.

    Raises:
        DataError: It has another number of rows.
    """
    table = ingested.table
    num_rows, num = int(ingested.facts["num_rows"]), len(given.values_MD)
    left_out = [item.row for item in ingested.left_out]
    blank = sorted(item.row for item in ingested.left_out if item.reason == EMPTY_ROW)
    for passed_over in ([], blank):
        if num == num_rows - len(passed_over):
            first = min({int(table.row_N.min()), *left_out} - {*passed_over})
            before_N = np.searchsorted(passed_over, table.row_N) - np.searchsorted(passed_over, first)
            return table.row_N - first - before_N
    if num == len(table):
        return np.arange(num, dtype=np.int64)
    raise DataError(
        f"{given.path}: has {num:,} rows for {num_rows:,} rows of LABELS",
        hint="Give one row for each row of LABELS, or .npz with image_path.",
    )
