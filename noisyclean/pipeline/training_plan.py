"""From a preset to the plan of a robust training: the audit's choices, a start, a budget, and the method's settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from noisyclean.base.runtime import choose_runtime
from noisyclean.config import BudgetConfig, HoldoutConfig, Plan, overlay
from noisyclean.errors import UsageError
from noisyclean.pipeline.compiling import choose_engine, pretraining_views
from noisyclean.pipeline.origin import Origin
from noisyclean.pipeline.plan import PlanRequest, decide_plan
from noisyclean.robust.method import Facts, methods
from noisyclean.types import LabelTable

__all__ = ["STAGES", "TrainPlan", "budget_facts", "decide_train_plan"]

PASSES = {
    "cpu": {"quick": 120, "standard": 180, "thorough": 360, "paper": 600},
    "accelerator": {"quick": 300, "standard": 1_500, "thorough": 4_000, "paper": 600},
}
"""Passes over the images that a preset pays for: a forward pass is 1, forward and backward are 3."""
FEWEST_STEPS = 1_500
"""Of few images so many steps are made with cross-entropy, whatever the preset pays for."""
QUICK_METHOD = "label-refinery"
"""Default of ``--preset quick`` on a CPU: what wins there on photographs with human label noise."""
OWN_STAGES = frozenset({"budget", "holdout", "robust"})
STAGES = OWN_STAGES | {"prepare", "engine", "simclr", "score"}
"""What ``--set`` may change."""
PAPER_SIMCLR = {
    "epochs": 1000,
    "batch": 1024,
    "num_views": 2,
    "optimizer": "plain-sgd",
    "lr": 0.5,
    "weight_decay": 1e-4,
    "temperature": 0.5,
    "warmup_epochs": 10.0,
}
"""C2D's pre-training, https://arxiv.org/abs/2103.13646."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """What a preset becomes for this training: decided once, in counts, with reasons."""

    base: Plan
    """What an audit of the same images would decide; its probe is not used."""
    method: str
    init: str
    budget: BudgetConfig
    holdout: HoldoutConfig
    robust: Any
    """The method's settings."""
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As ``plan.json`` holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainPlan:
        """Read what :meth:`to_json` wrote."""
        robust = {name: tuple(item) if isinstance(item, list) else item for name, item in value["robust"].items()}
        return cls(
            **{
                **value,
                "base": Plan.from_json(value["base"]),
                "budget": BudgetConfig(**value["budget"]),
                "holdout": HoldoutConfig(**value["holdout"]),
                "robust": methods.get(value["method"]).settings_type(**robust),
            }
        )


def budget_facts(plan: TrainPlan, num_classes: int) -> Facts:
    """What methods plan from, for any method at this plan's budget."""
    return Facts(
        num_classes=num_classes,
        passes=plan.budget.passes,
        batch=plan.base.probe.batch,
        is_pretrained=plan.init != "scratch" and not (plan.init == "simclr" and plan.base.simclr.epochs == 0),
    )


def decide_train_plan(
    request: PlanRequest, method: str | None, origin: Origin, table: LabelTable, *, num_unlabelled: int = 0
) -> TrainPlan:
    """Choose method, backbone, budget and settings, with reasons.

    Raises:
        UsageError: An unknown method, preset or setting.
    """
    overrides = dict(request.overrides or {})
    unknown = sorted(overrides.keys() - STAGES)
    if unknown:
        raise UsageError(
            f"--set {unknown[0]}: a training has no such stage", hint=f"It has {', '.join(sorted(STAGES))}."
        )
    device = choose_runtime(request.device).device.type
    name, method_reason = _choose_method(method, request.preset, device)
    kind = methods.get(name)
    own = {stage: overrides.pop(stage) for stage in OWN_STAGES & overrides.keys()}
    is_published = request.preset == "paper" and origin.init == "simclr" and "simclr" not in overrides
    if request.preset == "paper" and origin.init == "simclr":
        overrides["simclr"] = {**PAPER_SIMCLR, **overrides.get("simclr", {})}
    backbone = request.backbone or origin.backbone or _published_backbone(request.preset, origin)
    base = decide_plan(
        replace(
            request,
            init="simclr" if origin.init == "simclr" else "scratch",
            backbone=backbone,
            size=request.size or origin.size_px,
            overrides=overrides,
        ),
        table,
        num_unlabelled=num_unlabelled if origin.init == "simclr" else 0,
    )
    budget, budget_reason = _budget(request.preset, base, len(table))
    holdout = HoldoutConfig(share=kind.published_holdout) if request.preset == "paper" else HoldoutConfig()
    chosen = {key: reason for key, reason in base.reasons.items() if key not in ("probe", "way")}
    if is_published:
        chosen["simclr"] = f"{base.simclr.epochs:,} epochs: as published"
    chosen |= {"method": method_reason, "start": _start_reason(origin, base), "budget": budget_reason}
    plan = TrainPlan(
        base=base, method=name, init=request.init, budget=budget, holdout=holdout, robust=None, reasons=chosen
    )
    plan = overlay(plan, {stage: own.pop(stage) for stage in ("budget", "holdout") if stage in own})
    settings, reasons = kind.plan(request.preset, budget_facts(plan, table.num_classes))
    num_views = pretraining_views(base, len(table)) + plan.budget.passes / 3 * len(table)
    engine, why = choose_engine(base, num_views, overrides.get("engine", {}))
    base = replace(base, engine=engine, reasons={**base.reasons, **why})
    return overlay(replace(plan, base=base, robust=settings, reasons={**plan.reasons, **why, **reasons}), own)


def _choose_method(asked: str | None, preset: str, device: str) -> tuple[str, str]:
    if asked is not None:
        methods.get(asked)
        return asked, f"{asked}: as asked"
    if device != "cpu" or preset != "quick":
        return "dividemix", "dividemix: the default"
    reason = "wins at so few passes over photographs with human label noise (docs/measurements-training.md)"
    return QUICK_METHOD, f"{QUICK_METHOD}: {reason}"


def _published_backbone(preset: str, origin: Origin) -> str | None:
    """The papers' ResNet-18 for small images: pre-activation from scratch, the ordinary one after SimCLR."""
    if preset != "paper":
        return None
    return "noisyclean_preact_resnet18" if origin.init == "scratch" else "noisyclean_resnet18"


def _start_reason(origin: Origin, base: Plan) -> str:
    if origin.init == "simclr" and base.simclr.epochs == 0:
        return "scratch: the plan leaves the pre-training out"
    return origin.reason


def _budget(preset: str, base: Plan, num: int) -> tuple[BudgetConfig, str]:
    device = "cpu" if base.device == "cpu" else "accelerator"
    passes = PASSES[device][preset]
    least = 3 * math.ceil(FEWEST_STEPS * base.probe.batch / num)
    if least > passes:
        reason = f"{least} passes: {passes} over so few images would be under {FEWEST_STEPS:,} steps"
        return BudgetConfig(passes=least), reason
    reason = f"{passes} passes: {preset} on this device; a forward pass is 1, forward and backward are 3"
    return BudgetConfig(passes=passes), reason
