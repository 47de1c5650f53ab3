"""``--budget``: how thorough an audit or a training can be in the time there is, by costs measured on this machine.

The plan itself is in counts; it is decided once and kept, so a continued run ends in the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from noisyclean.config import Plan
from noisyclean.data.ingest import Ingested, select_rows
from noisyclean.errors import UsageError
from noisyclean.pipeline.costs import Stopwatch, audit_seconds, learnt_rows, training_seconds
from noisyclean.pipeline.origin import Origin, refuse_unknown_backbone
from noisyclean.pipeline.plan import PlanRequest, decide_plan, refuse_idle_processes
from noisyclean.pipeline.training_plan import TrainPlan, decide_train_plan
from noisyclean.types import BoolArray, LabelTable

__all__ = ["decide_audit", "decide_training", "parse_budget"]

CHOICES = ("thorough", "standard", "quick")
"""Presets to choose among, the best first."""
UNITS_S = {"s": 1, "m": 60, "h": 3600}
MEASURED_SHARE = 0.75
"""Of the budget, for what is measured: decoding and training. The rest is for patches, neighbours and the report."""

AnyPlan = TypeVar("AnyPlan", Plan, TrainPlan)


def parse_budget(text: str | None) -> float | None:
    """Seconds of a budget such as ``90s``, ``30m`` or ``1.5h``; None without one.

    Raises:
        UsageError: It is no such thing.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"--budget {text}: is no time", hint="Give a number and s, m or h: 90s, 30m or 1.5h.")
    return float(found[1]) * UNITS_S[found[2]]


def decide_audit(
    request: PlanRequest, ingested: Ingested, *, num_unlabelled: int = 0, stopwatch: Stopwatch | None = None
) -> Plan:
    """Decide an audit's plan: of the preset, or of the best preset that fits into the budget.

    Args:
        request: What the user asked for.
        ingested: The table.
        num_unlabelled: Other images that pre-training may be shown.
        stopwatch: Measures what the parts take, for whoever asks.

    Raises:
        UsageError: Not even ``quick`` fits, an unknown backbone, or a setting that cannot work.
    """
    refuse_unknown_backbone(request.backbone)
    table = _rows_to_plan_for(ingested.table, ingested.problem_N == "")

    def decide(request: PlanRequest) -> Plan:
        plan = decide_plan(request, table, num_unlabelled=num_unlabelled)
        refuse_idle_processes(plan, len(table), trains_probe=True)
        return plan

    first = decide(request)
    if request.budget_s is None:
        return first
    costs = (stopwatch or Stopwatch(ingested)).unit_costs(first)

    def seconds(plan: Plan) -> float:
        return sum(audit_seconds(plan, ingested.num_usable, costs).values())

    sized = replace(request, size=first.prepare.size_px)
    way_out = "--init pretrained:NAME and --embeddings judge without training"
    return _best_that_fits(sized, first, decide, seconds, request.budget_s, way_out=way_out)


def decide_training(
    request: PlanRequest,
    method: str | None,
    origin: Origin,
    ingested: Ingested,
    *,
    num_unlabelled: int = 0,
    num_trainings: Callable[[TrainPlan], int],
    stopwatch: Stopwatch | None = None,
) -> TrainPlan:
    """Decide a training's plan in the same way.

    Args:
        request: What the user asked for.
        method: Its name; None leaves it to the preset.
        origin: What the nets start from.
        ingested: The table.
        num_unlabelled: Other images that pre-training may be shown.
        num_trainings: How many trainings a plan has, beside each other.
        stopwatch: Measures what the parts take, for whoever asks.

    Raises:
        UsageError: Not even ``quick`` fits, an unknown backbone, or a setting that cannot work.
    """
    refuse_unknown_backbone(request.backbone)
    table = _rows_to_plan_for(ingested.table, learnt_rows(ingested))

    def decide(request: PlanRequest) -> TrainPlan:
        plan = decide_train_plan(request, method, origin, table, num_unlabelled=num_unlabelled)
        refuse_idle_processes(plan.base, len(table), trains_probe=False)
        return plan

    first = decide(request)
    if request.budget_s is None:
        return first
    costs = (stopwatch or Stopwatch(ingested)).unit_costs(first.base)

    def seconds(plan: TrainPlan) -> float:
        num = num_trainings(plan)
        return sum(training_seconds(plan, ingested, costs, num_trainings=num).values())

    sized = replace(request, size=first.base.prepare.size_px)
    return _best_that_fits(sized, first, decide, seconds, request.budget_s, way_out="--set budget.passes=N trains less")


def _rows_to_plan_for(table: LabelTable, usable_N: BoolArray) -> LabelTable:
    """The usable rows; all rows where none is, and whoever decodes them says why."""
    return select_rows(table, usable_N) if usable_N.any() else table


def _best_that_fits(
    request: PlanRequest,
    first: AnyPlan,
    decide: Callable[[PlanRequest], AnyPlan],
    seconds: Callable[[AnyPlan], float],
    allowed_s: float,
    *,
    way_out: str,
) -> AnyPlan:
    """The best preset's plan that leaves enough of the time for what is not measured.

    Args:
        request: What the user asked for, the size settled.
        first: The plan that settled it, for the reason.
        decide: The plan of a request.
        seconds: What is measured of a plan.
        allowed_s: The budget.
        way_out: What costs less, for a budget that is too little.
    """
    too_long: list[str] = []
    for preset in CHOICES:
        plan = decide(replace(request, preset=preset))
        needed_s = seconds(plan) / MEASURED_SHARE
        if needed_s <= allowed_s:
            beside = f"; {' and '.join(too_long)}" if too_long else ""
            reason = f"{preset}: about {_in_words(needed_s)} of the {_in_words(allowed_s)} allowed{beside}"
            return replace(plan, reasons={"preset": reason, **plan.reasons, "size": first.reasons["size"]})
        too_long.append(f"{preset} would take {_in_words(needed_s)}")
    raise UsageError(
        f"--budget: {_in_words(allowed_s)} are too little: {', '.join(too_long)}",
        hint=f"Give it more time, or a smaller --size; {way_out}.",
    )


def _in_words(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 2 * UNITS_S["m"]:
        return f"{seconds:.0f} s"
    return f"{seconds / UNITS_S['m']:.0f} min" if seconds < 2 * UNITS_S["h"] else f"{seconds / UNITS_S['h']:.1f} h"
