"""From one round to the next: settings inherited, verdicts pinned, and what changed since."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import atomic_path, fingerprint
from noisyclean.base.log import Reporter
from noisyclean.data.ingest import Ingested, IngestOptions, as_far_as_in
from noisyclean.data.tables import TextTable
from noisyclean.pipeline.diff import compare_scores
from noisyclean.pipeline.finished import FinishedRun
from noisyclean.pipeline.plan import PlanRequest
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.reuse import Carried
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.trail import TRAIL, add_to_trail
from noisyclean.report.verdicts import Verdict, decide
from noisyclean.types import BoolArray

__all__ = [
    "begin_round",
    "describe_change",
    "inherit_options",
    "inherit_request",
    "pin_verdicts",
    "verdicts_mark",
    "what_changed",
]


SOURCES = ("init", "embeddings", "pred_probs")
"""Where features come from: asking for one of them asks for none of the others."""


def inherit_options(
    finished: FinishedRun, options: IngestOptions, reporter: Reporter, *, table: TextTable | None = None
) -> IngestOptions:
    """Read the table as the earlier run read its own, except where the user says otherwise.

    Args:
        finished: The earlier run.
        options: What the user says.
        reporter: Hears what is taken over.
        table: Another table than the run's: columns that it does not have are not asked of it.
    """
    before = finished.options if table is None else as_far_as_in(table, finished.options)
    inherited: IngestOptions = _inherit(before, options, finished.root, reporter)
    return inherited


def inherit_request(
    finished: FinishedRun, request: PlanRequest, reporter: Reporter, *, keeps_budget: bool = True
) -> PlanRequest:
    """Plan as the earlier run was planned, except where the user says otherwise.

    Args:
        finished: The earlier run.
        request: What is asked now.
        reporter: Hears what is taken over.
        keeps_budget: Whether the time it was allowed is allowed now too.
    """
    before = PlanRequest(**finished.request)
    if any(getattr(request, name) != getattr(PlanRequest(), name) for name in SOURCES):
        before = replace(before, **{name: getattr(PlanRequest(), name) for name in SOURCES})
    if request.preset != PlanRequest().preset or not keeps_budget:
        before = replace(before, budget_s=None)
    overrides = {stage: dict(values) for stage, values in (before.overrides or {}).items()}
    for stage, values in (request.overrides or {}).items():
        overrides[stage] = overrides.get(stage, {}) | dict(values)
    inherited: PlanRequest = _inherit(before, replace(request, overrides=overrides), finished.root, reporter)
    return inherited


def _inherit(before: Any, asked: Any, root: Path, reporter: Reporter) -> Any:
    """Fields left at their defaults become what they were; said aloud."""
    default = type(asked)()
    names = [field.name for field in dataclasses.fields(asked)]
    taken = {
        name: getattr(before, name)
        for name in names
        if (getattr(asked, name) or None) == (getattr(default, name) or None)
        and (getattr(before, name) or None) != (getattr(default, name) or None)
    }
    if taken:
        reporter.say(f"as in {root}: " + ", ".join(f"{name} {value}" for name, value in taken.items()))
    return replace(asked, **taken)


def begin_round(finished: FinishedRun, verdicts: Sequence[Verdict], run: RunDir, request: PlanRequest) -> None:
    """Bring the trail of verdicts, and the plan where the same is asked of it, into a new run."""
    if not (run.root / TRAIL).exists() and (finished.root / TRAIL).exists():
        _copy(TRAIL, finished.root, run.root)
    add_to_trail(run.root, verdicts, decide(verdicts))
    if not (run.root / "plan.json").exists() and PlanRequest(**finished.request) == request:
        _copy("plan.json", finished.root, run.root)


def pin_verdicts(
    ingested: Ingested, finished: FinishedRun, verdicts: Sequence[Verdict], reporter: Reporter
) -> Ingested:
    """Mark rows whose label reviewers confirmed or set as verified, and set aside the images they judged bad."""
    table = ingested.table
    decisions = decide(verdicts)
    given = table.given_label()
    verified_N, bad_N = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    num_overruled = 0
    for row, path in enumerate(table.image_path_N):
        decision = decisions.get(path)
        if decision is None:
            continue
        bad_N[row] = decision.outcome == "bad"
        verified_N[row] = bool(decision.new_label) and decision.new_label == given[row]
        num_overruled += bool(decision.new_label) and decision.new_label != given[row]
    counts = f"{int(verified_N.sum()):,} labels are verified, {int(bad_N.sum()):,} images are bad"
    reporter.say(f"reviewed in {finished.root}: {counts}")
    num_gone = len(decisions.keys() - set(table.image_path_N))
    if num_gone:
        reporter.say(f"reviewed in {finished.root}: {num_gone:,} more images are not in this table")
    if num_overruled:
        reporter.warn(
            f"{num_overruled:,} labels are not what the reviewers decided and are not pinned: "
            "is this the table that review wrote?"
        )
    problem_N = ingested.problem_N.copy()
    problem_N[bad_N] = "judged bad by a reviewer"
    return replace(
        ingested,
        table=replace(table, verified_N=verified_N),
        problem_N=problem_N,
        set_aside_N=ingested.set_aside_N | bad_N,
    )


def verdicts_mark(finished: FinishedRun, ingested: Ingested) -> str:
    """Hash of the earlier run and of what its reviewers decided."""
    rows = [np.flatnonzero(_require(ingested.table.verified_N)).tolist(), np.flatnonzero(ingested.set_aside_N).tolist()]
    return fingerprint([str(finished.root.resolve()), rows])


def what_changed(finished: FinishedRun, run: RunDir, prepared: Prepared, carried: Carried) -> dict[str, Any]:
    """How the flags differ from the earlier round's, for ``summary.json``."""
    scores = pd.read_csv(run.root / "scores.csv", dtype=str, keep_default_na=False, encoding="utf-8")
    found = compare_scores(finished.scores, scores)
    return {
        "run": str(finished.root),
        "num_verified": int(_require(prepared.table.verified_N).sum()),
        "num_labels_changed": int(carried.changed_N.sum()),
        "num_new_images": int(carried.is_new_N.sum()),
        "num_flagged_before": int((found.before["flagged"] == "true").sum()),
        "num_newly_flagged": int(found.newly_flagged.sum()),
        "num_no_longer_flagged": int(found.no_longer_flagged.sum()),
    }


def describe_change(since: Mapping[str, Any]) -> str:
    """What changed, in one sentence."""
    return (
        f"since {since['run']}: {since['num_labels_changed']:,} labels changed, "
        f"{since['num_verified']:,} are verified, {since['num_new_images']:,} images are new; "
        f"{since['num_newly_flagged']:,} newly flagged, {since['num_no_longer_flagged']:,} no longer flagged"
    )


def _copy(name: str, source: Path, target: Path) -> None:
    with atomic_path(target / name) as temporary:
        shutil.copyfile(source / name, temporary)


def _require(verified_N: BoolArray | None) -> BoolArray:
    assert verified_N is not None
    return verified_N
