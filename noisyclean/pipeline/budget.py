"""``--budget``: how thorough an audit can be in the time there is, by costs measured on this machine.

The plan itself is in counts; it is decided once and kept, so a continued run ends in the same bytes.
"""

from __future__ import annotations

import re
from dataclasses import replace

from noisyclean.config import Plan
from noisyclean.data.ingest import Ingested
from noisyclean.errors import UsageError
from noisyclean.pipeline.plan import PlanRequest, decide_plan

__all__ = ["decide", "parse_budget"]

CHOICES = ("thorough", "standard", "quick")
"""Presets to choose among, the best first."""
UNITS_S = {"s": 1, "m": 60, "h": 3600}
MEASURED_SHARE = 0.75
"""Of the budget, for what is measured: decoding and training. The rest is for patches, neighbours and the report."""


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


def decide(request: PlanRequest, ingested: Ingested, *, num_unlabelled: int = 0) -> Plan:
    """Decide the plan: of the preset, or of the best preset that fits into the budget.

    Args:
        request: What the user asked for.
        ingested: The table.
        num_unlabelled: Other images that pre-training may be shown.

    Raises:
        UsageError: Not even ``quick`` fits, or a setting that cannot work.
    """
    if request.budget_s is None:
        return decide_plan(request, ingested.table, num_unlabelled=num_unlabelled)
    from noisyclean.pipeline.costs import audit_seconds, measure_unit_costs

    num, costs = int((ingested.problem_N == "").sum()), None
    too_long: list[str] = []
    for preset in CHOICES:
        plan = decide_plan(replace(request, preset=preset), ingested.table, num_unlabelled=num_unlabelled)
        costs = costs or measure_unit_costs(plan, ingested)
        needed_s = sum(audit_seconds(plan, num, costs).values()) / MEASURED_SHARE
        if needed_s <= request.budget_s:
            beside = f"; {' and '.join(too_long)}" if too_long else ""
            reason = f"{preset}: about {_in_words(needed_s)} of the {_in_words(request.budget_s)} allowed{beside}"
            return replace(plan, reasons={"budget": reason} | dict(plan.reasons))
        too_long.append(f"{preset} would take {_in_words(needed_s)}")
    raise UsageError(
        f"--budget: {_in_words(request.budget_s)} are too little: {', '.join(too_long)}",
        hint="Give it more time, or a smaller --size; --init pretrained:NAME and --embeddings judge without training.",
    )


def _in_words(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 2 * UNITS_S["m"]:
        return f"{seconds:.0f} s"
    return f"{seconds / UNITS_S['m']:.0f} min" if seconds < 2 * UNITS_S["h"] else f"{seconds / UNITS_S['h']:.1f} h"
