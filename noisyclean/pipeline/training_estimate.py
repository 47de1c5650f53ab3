"""``train --dry-run``: the plan, and what it would take, measured on a handful of images and training steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noisyclean.base.log import Reporter
from noisyclean.data.ingest import Ingested
from noisyclean.pipeline.costs import Stopwatch, training_seconds
from noisyclean.pipeline.estimate import FIXED_MEMORY_BYTES, ROW_BYTES
from noisyclean.pipeline.preparing import refuse_too_many
from noisyclean.pipeline.training_plan import TrainPlan

__all__ = ["estimate_training"]

SCHEMA_VERSION = 1


def estimate_training(
    ingested: Ingested, plan: TrainPlan, *, out: Path, num_trainings: int, stopwatch: Stopwatch, reporter: Reporter
) -> dict[str, Any]:
    """Say what a plan costs; nothing is written.

    Args:
        ingested: The table.
        plan: The plan.
        out: Where the run would go.
        num_trainings: How many trainings of one budget there are.
        stopwatch: Measures what the parts take.
        reporter: Hears the plan's reasons.

    Returns:
        The plan, counts, and estimated seconds, memory and sizes of the outputs.

    Raises:
        DataError: More rows are unusable than ``--max-bad`` allows.
    """
    refuse_too_many(ingested, ingested.problem_N, plan.base.prepare.max_bad)
    for name, reason in plan.reasons.items():
        reporter.say(f"{name}: {reason}")
    usable_N = ingested.problem_N == ""
    num, num_classes = int(usable_N.sum()), ingested.table.num_classes
    costs = stopwatch.unit_costs(plan.base)
    num_features = costs.num_features
    seconds = training_seconds(plan, ingested, costs, num_trainings=num_trainings)
    count_C = np.bincount(ingested.table.label_N[usable_N], minlength=num_classes)
    pixels_bytes = 3 * num * plan.base.prepare.size_px**2
    row_bytes = ROW_BYTES + 8 * (num_features + 4 * num_classes)
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
        "plan": plan.to_json(),
        "estimate": {
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
            "peak_memory_bytes": FIXED_MEMORY_BYTES + pixels_bytes + num * row_bytes,
            "output_bytes": {
                "prepare/images.npy": pixels_bytes,
                f"train-{plan.method}": 4 * num * (num_features + 9 + num_classes) * num_trainings,
            },
        },
    }
