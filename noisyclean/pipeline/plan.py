"""From a preset to a plan: what each stage is worth for this many images, at this size, on this device."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from noisyclean.base.files import read_json, write_json
from noisyclean.base.runtime import NO_FLOAT64, choose_runtime
from noisyclean.config import AUGMENTS, PRESETS, Plan, PrepareConfig, ProbeConfig, SimCLRConfig, Way, overlay
from noisyclean.data.augment import weak
from noisyclean.data.depth import choose_window
from noisyclean.engine.inference import evaluation_views
from noisyclean.errors import UsageError
from noisyclean.pipeline.compiling import choose_engine, pretraining_views
from noisyclean.pipeline.origin import Origin, native_size_px, resolve_origin
from noisyclean.pipeline.sizing import choose_size
from noisyclean.types import LabelTable

__all__ = [
    "EVALUATION_SHARE",
    "SMALL_VIEW_SIDE",
    "PlanRequest",
    "decide_plan",
    "evaluation_epochs",
    "keep_plan",
    "refuse_idle_processes",
    "settle_plan",
]

MANY_IMAGES = 10_000
"""From here on images need no more epochs than the preset's."""
MOST_EPOCHS = 40
COMPACT_EPOCHS = 7 / 8
"""Share of these that the default net of a CPU gets: it learns sooner
(``docs/decisions/0013-pooled-before-normalised.md``)."""
LEAST_STEPS = 56
"""Of an epoch, where the images are enough for that many batches."""
LEAST_BATCH = 8
ENOUGH_HELD_OUT = 250
"""Images no net learns from, enough to notice memorised labels by."""
MOST_HELD_OUT = 0.03
EVALUATION_SHARE = 1 / 4
"""Of a training pass's time, what an evaluation of the same images takes: measured 9,300 against 2,400 images/s."""
SMALL_VIEW_SIDE = 0.75
"""Of SimCLR's views, as a share of the images' side, where every pass counts: a crop of a fifth to all of the area is
.76 wide on average, and what is learnt from it is as good (``docs/measurements-speed.md``)."""
PEAK_LR = 0.2
"""At a batch of 128; falls with the square root of the batch."""


class _Writable(Protocol):
    def to_json(self) -> dict[str, Any]: ...


AnyPlan = TypeVar("AnyPlan", bound=_Writable)


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What the user asked for; a run keeps its plan for as long as this stays the same.

    Raises:
        UsageError: An unknown preset or kind of views.
    """

    preset: str = "standard"
    budget_s: float | None = None
    """Time for all; it chooses the preset."""
    init: str = "simclr"
    backbone: str | None = None
    size: int | None = None
    augment: str = "auto"
    device: str = "auto"
    processes: int = 1
    """That train together."""
    seed: int = 0
    max_bad: float = 0.1
    embeddings: str | None = None
    """File of features somebody else made."""
    pred_probs: str | None = None
    """File of class probabilities somebody else made."""
    use_unlabelled: bool = False
    """Whether pre-training is shown the other images too."""
    overrides: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        for name, known in (("preset", PRESETS), ("augment", AUGMENTS)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"--{name} {value}: unknown", hint=f"Choose one of {', '.join(known)}.")


def settle_plan(
    path: Path,
    request: PlanRequest,
    decide: Callable[[], AnyPlan],
    read: Callable[[Mapping[str, Any]], AnyPlan],
    **more: object,
) -> AnyPlan:
    """Read the plan that was decided for this request, or decide it and write it down.

    Args:
        path: Of ``plan.json``.
        request: What the user asked for.
        decide: Decides the plan.
        read: Reads what the plan's ``to_json`` wrote.
        more: What else was asked.
    """
    asked = vars(request) | {"overrides": dict(request.overrides or {}), **more}
    if path.exists():
        known = read_json(path)
        if known["request"] == asked:
            return read(known["plan"])
    plan = decide()
    write_json(path, {"request": asked, "plan": plan.to_json()})
    return plan


def keep_plan(path: Path, plan: Mapping[str, Any]) -> None:
    """Write down what was settled after the plan was made, for the same request."""
    known = read_json(path)
    if known["plan"] != json.loads(json.dumps(plan)):
        write_json(path, known | {"plan": plan})


def decide_plan(request: PlanRequest, table: LabelTable, *, num_unlabelled: int = 0) -> Plan:
    """Choose backbone, size and the share of every stage, with reasons.

    Args:
        request: What the user asked for.
        table: The rows that can be used; how many they are decides batches, epochs and rates.
        num_unlabelled: Other images that pre-training may be shown.

    Raises:
        UsageError: An unknown start, or an override of something that is not there.
    """
    runtime = choose_runtime(request.device)
    if runtime.device.type == "mps":
        raise UsageError(f"--device mps: {NO_FLOAT64}", hint="Use --device cpu; predict works on mps.")
    is_small_machine = runtime.device.type == "cpu"
    origin = resolve_origin(request.init, request.backbone)
    way, way_reason = _choose_way(request, origin)
    (black, white), depth_reason = choose_window(table.file_N.tolist())
    if way == "frozen" and request.size is None and (native_px := native_size_px(origin)) is not None:
        size_px, size_reason = native_px, f"{native_px} px: what the backbone learnt from"
    else:
        most = 64 if is_small_machine else 224
        size_px, size_reason = choose_size(
            request.size, table, most=most, window=(black, white), seed=request.seed, runtime=runtime
        )
    backbone, backbone_reason = _choose_backbone(request.backbone or origin.backbone, size_px, is_small_machine)
    simclr, simclr_reason = _plan_simclr(request, len(table) + num_unlabelled, is_small_machine)
    probe, probe_reason = _plan_probe(request, len(table), is_small_machine)
    augment, augment_reason = _choose_augment(request.augment)
    if way != "train":
        simclr, augment = SimCLRConfig(epochs=0), "none"
        simclr_reason = probe_reason = augment_reason = "left out: no net is trained"
    plan = Plan(
        preset=request.preset,
        seed=request.seed,
        device=runtime.device.type,
        dtype=str(runtime.dtype).removeprefix("torch."),
        threads=runtime.threads,
        processes=request.processes,
        backbone=backbone,
        augment=augment,
        prepare=PrepareConfig(size_px=size_px, black=black, white=white, max_bad=request.max_bad),
        simclr=simclr,
        probe=probe,
        way=way,
        reasons={
            **runtime.reasons,
            "way": way_reason,
            "size": size_reason,
            "depth": depth_reason,
            "backbone": backbone_reason,
            "augment": augment_reason,
            "simclr": simclr_reason,
            "probe": probe_reason,
        },
    )
    plan = overlay(plan, request.overrides or {})
    plan = replace(plan, num_unlabelled=num_unlabelled if plan.simclr.epochs and way == "train" else 0)
    num_views = pretraining_views(plan, len(table)) + plan.probe.num_nets * plan.probe.epochs * len(table)
    engine, why = choose_engine(plan, num_views, (request.overrides or {}).get("engine", {}))
    return replace(plan, engine=engine, reasons={**plan.reasons, **why})


def refuse_idle_processes(plan: Plan, num: int, *, trains_probe: bool) -> None:
    """Each process must get an image of every batch.

    Args:
        plan: The plan.
        num: Images with a label.
        trains_probe: Whether the probe is trained too, and not only what it starts from.

    Raises:
        UsageError: There are more processes than images in a batch.
    """
    batches = {"simclr.batch": min(plan.simclr.batch, num + plan.num_unlabelled)} if plan.simclr.epochs else {}
    batches |= {"probe.batch": min(plan.probe.batch, num)} if trains_probe else {}
    for name, batch in batches.items() if plan.way == "train" else ():
        if batch < plan.processes:
            raise UsageError(
                f"--gpus {plan.processes}: {name} is {batch}, which leaves some of them without an image",
                hint=f"Ask for --gpus {batch} at most, or for larger batches: --set {name}=N.",
            )


def _choose_way(request: PlanRequest, origin: Origin) -> tuple[Way, str]:
    given = [f"--{name}" for name in ("embeddings", "pred-probs") if getattr(request, name.replace("-", "_"))]
    is_trained = origin.init in ("simclr", "scratch")
    if given and not is_trained:
        raise UsageError(
            f"--init {request.init} and {' and '.join(given)}: are two sources of features",
            hint="Leave one of them out.",
        )
    if given:
        return "given", f"given: {' and '.join(given)}; no net is trained"
    if is_trained:
        return "train", "train: nets learn from these images and labels"
    return "frozen", f"frozen: features of {origin.source or request.init} as they are; no net is trained"


def _choose_backbone(asked: str | None, size_px: int, is_small_machine: bool) -> tuple[str, str]:
    if asked is not None:
        return asked, f"{asked}: as asked"
    if is_small_machine:
        name = "noisyclean_compact" if size_px <= 32 else "noisyclean_compact_64"
        return name, f"{name}: finds most label errors per minute on few cores"
    name = "noisyclean_resnet18" if size_px <= 64 else "resnet18"
    return name, f"{name}: an accelerator is there"


def _trains_compact(request: PlanRequest, is_small_machine: bool) -> bool:
    """Whether the nets are the default ones of a CPU: they take views of any size, and learn soon."""
    return is_small_machine and request.backbone is None


def _plan_simclr(request: PlanRequest, num: int, is_small_machine: bool) -> tuple[SimCLRConfig, str]:
    if request.init == "scratch":
        return SimCLRConfig(epochs=0), "left out: --init scratch"
    side = SMALL_VIEW_SIDE if _trains_compact(request, is_small_machine) and request.preset != "paper" else 1.0
    if is_small_machine and request.preset in ("quick", "standard"):
        reason = (
            "left out: on a CPU its passes find more errors when the probe gets them (docs/benchmarks.md); "
            "--preset thorough or --set simclr.epochs=N pre-trains"
        )
        return SimCLRConfig(epochs=0, view_side=side), reason
    of_accelerator = {"quick": 1_500, "standard": 4_000, "thorough": 10_000, "paper": 50_000}
    steps = {"thorough": 2_000, "paper": 5_000}[request.preset] if is_small_machine else of_accelerator[request.preset]
    batch = min(SimCLRConfig.batch, max(4, num // 8))
    epochs = max(1, round(steps * batch / num))
    reason = f"{epochs} epochs: about {steps:,} steps"
    if side < 1:
        reason += f", on views of {side:g} times the images' side, as wide as the average crop"
    lr = SimCLRConfig.lr * batch / SimCLRConfig.batch
    return SimCLRConfig(epochs=epochs, batch=batch, lr=lr, view_side=side), reason


def _plan_probe(request: PlanRequest, num: int, is_small_machine: bool) -> tuple[ProbeConfig, str]:
    """Few images get small batches rather than many epochs: steps teach, epochs memorise the wrong labels."""
    num_nets, epochs = {"quick": (1, 16), "standard": (1, 32), "thorough": (3, 32), "paper": (3, 40)}[request.preset]
    stretch = math.sqrt(MANY_IMAGES / num)
    epochs = max(epochs, min(round(epochs * stretch), MOST_EPOCHS))
    are_few = epochs == MOST_EPOCHS
    if _trains_compact(request, is_small_machine):
        epochs = round(COMPACT_EPOCHS * epochs)
    most = 128 if is_small_machine else 256
    batch = min(most, max(LEAST_BATCH, 2 ** int(math.log2(max(num / LEAST_STEPS, 1)))))
    lr = round(PEAK_LR * math.sqrt(batch / 128), 4)
    nets = f"{num_nets} nets" if num_nets > 1 else "1 net"
    evaluation = evaluation_epochs(ProbeConfig.num_recordings)
    reason = (
        f"{nets} of {epochs} epochs in batches of {batch}, each judging at the cost of {evaluation:.1f} epochs more"
    )
    if are_few:
        reason += ": more epochs of so few images would memorise their labels"
    held_out = min(MOST_HELD_OUT, round(ENOUGH_HELD_OUT / num, 4))
    return ProbeConfig(num_nets=num_nets, epochs=epochs, batch=batch, lr=lr, held_out=held_out), reason


def evaluation_epochs(num_recordings: int) -> float:
    """What a net's recordings cost, in training epochs: every image under each view that is averaged over."""
    return num_recordings * len(evaluation_views(weak(), size_px=32)) * EVALUATION_SHARE


def _choose_augment(asked: str) -> tuple[str, str]:
    if asked == "auto":
        return "auto", "auto: measured on the images"
    return asked, f"{asked}: as asked"
