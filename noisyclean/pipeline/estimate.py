"""``--dry-run``: what an audit would take, measured on a handful of images and training steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noisyclean.base.log import Reporter
from noisyclean.config import Plan
from noisyclean.data.ingest import Ingested
from noisyclean.pipeline.budget import decide_audit
from noisyclean.pipeline.costs import Stopwatch, audit_seconds
from noisyclean.pipeline.given import check_given
from noisyclean.pipeline.plan import PlanRequest
from noisyclean.pipeline.preparing import refuse_too_many

__all__ = ["FIXED_MEMORY_BYTES", "ROW_BYTES", "estimate"]

SCHEMA_VERSION = 1
FIXED_MEMORY_BYTES = 700 * 2**20
"""Of the libraries, before any image."""
ROW_BYTES = 600
"""Of a row of the table with its path, in memory."""
CSV_ROW_BYTES = 160
JUDGING_BYTES = 90
"""Of an image and class, while opinions are pooled."""


def estimate(
    ingested: Ingested, request: PlanRequest, *, out: Path, reporter: Reporter, num_unlabelled: int = 0
) -> dict[str, Any]:
    """Decide the plan and say what it costs; nothing is written.

    Args:
        ingested: The table.
        request: What the user asked of the plan.
        out: Where the run would go.
        reporter: Hears the plan's reasons.
        num_unlabelled: Other images that pre-training may be shown.

    Returns:
        The plan, counts, and estimated seconds, memory and sizes of the outputs.

    Raises:
        DataError: More rows are unusable than ``--max-bad`` allows.
        UsageError: A setting that cannot work.
    """
    refuse_too_many(ingested, ingested.problem_N, request.max_bad)
    check_given(ingested, request)
    stopwatch = Stopwatch(ingested)
    plan = decide_audit(request, ingested, num_unlabelled=num_unlabelled, stopwatch=stopwatch)
    for name, reason in plan.reasons.items():
        reporter.say(f"{name}: {reason}")
    usable_N = ingested.problem_N == ""
    num = int(usable_N.sum())
    costs = stopwatch.unit_costs(plan)
    num_features = costs.num_features
    given = ingested.table.label_N[usable_N]
    count_C = np.bincount(given, minlength=ingested.table.num_classes)
    return {
        "schema_version": SCHEMA_VERSION,
        "dry_run": True,
        "out": str(out),
        "num_images": num,
        "num_unusable": int((~usable_N).sum()) + len(ingested.left_out),
        "classes": [
            {"name": name, "num_images": int(count)}
            for name, count in zip(ingested.table.classes, count_C, strict=True)
        ],
        "input": ingested.facts,
        "plan": plan.to_json(),
        "estimate": {
            "seconds": {name: round(value, 1) for name, value in audit_seconds(plan, num, costs).items()},
            "peak_memory_bytes": _peak_memory(plan, num, ingested.table.num_classes, num_features),
            "output_bytes": _output_sizes(plan, num, ingested.table.num_classes, num_features),
        },
    }


def _peak_memory(plan: Plan, num: int, num_classes: int, num_features: int) -> int:
    """The libraries, the table, the evidence of all networks, and the images on their way through the page cache."""
    recorded = _num_nets(plan) * (2 * plan.probe.num_recordings + num_classes + num_features)
    row_bytes = ROW_BYTES + 2 * 4 * recorded + JUDGING_BYTES * num_classes + 3 * plan.prepare.size_px**2
    return FIXED_MEMORY_BYTES + num * row_bytes


def _num_nets(plan: Plan) -> int:
    """Networks that leave a record."""
    return plan.probe.num_nets if plan.way == "train" else 1


def _output_sizes(plan: Plan, num: int, num_classes: int, num_features: int) -> dict[str, int]:
    stage = {"train": "train-probe"}.get(plan.way, plan.way)
    return {
        "prepare/images.npy": 3 * num * plan.prepare.size_px**2,
        stage: _num_nets(plan) * num * 4 * (2 * plan.probe.num_recordings + num_classes + num_features),
        "embeddings.npz": 4 * num * _num_nets(plan) * num_features,
        "pred_probs.npz": 4 * num * num_classes,
        "scores.csv": CSV_ROW_BYTES * num,
    }
