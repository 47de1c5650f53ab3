"""What a plan costs on this machine, measured on a handful of images and training steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import at_work, choose_runtime
from noisyclean.config import Plan
from noisyclean.data.decode import UnreadableImage, decode
from noisyclean.data.ingest import Ingested
from noisyclean.data.splits import TEST_NAMES, VALIDATION_NAMES, rows_of_split
from noisyclean.engine.descent import Descent, Figures
from noisyclean.pipeline.plan import EVALUATION_SHARE, evaluation_epochs
from noisyclean.pipeline.preparing import pixel_mapping
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.types import BoolArray

__all__ = ["Stopwatch", "UnitCosts", "audit_seconds", "learnt_rows", "training_seconds"]

TIMED_IMAGES = 32
LEAST_TIMES = 5
LEAST_S = 0.5
MOST_S = 3.0
"""Work is timed so often and for so long; after this many seconds no more."""
TRAINING_PASSES = 3
"""Of an epoch: forward and backward."""


@dataclass(frozen=True, kw_only=True)
class UnitCosts:
    """What the parts take here; plans for the same images differ in how often they do them."""

    decode_s: float
    """Seconds of decoding one image, all threads at work."""
    train_s: float
    """Seconds of training on one image once, in batches of the probe."""
    num_features: int
    """Width of the features."""


class Stopwatch:
    """Measures what the parts take, once: decodes a handful of images and makes training steps.

    Args:
        ingested: The table.
    """

    def __init__(self, ingested: Ingested) -> None:
        self._ingested = ingested
        self._known: UnitCosts | None = None

    def unit_costs(self, plan: Plan) -> UnitCosts:
        """What the parts take.

        Args:
            plan: The plan; any for the same images will do.
        """
        if self._known is None:
            table = self._ingested.table
            files = table.file_N[self._ingested.problem_N == ""].tolist()
            train_s, num_features = _time_training(plan, table.num_classes)
            decode_s = _time_decoding(files, plan) / plan.threads
            self._known = UnitCosts(decode_s=decode_s, train_s=train_s, num_features=num_features)
        return self._known


def audit_seconds(plan: Plan, num: int, costs: UnitCosts) -> dict[str, float]:
    """Seconds of an audit's decoding and of its training.

    Args:
        plan: The plan.
        num: Usable images.
        costs: What the parts take.
    """
    return {
        "decode": (num + plan.num_unlabelled) * costs.decode_s,
        "train": costs.train_s * _image_passes(plan, num),
    }


def learnt_rows(ingested: Ingested) -> BoolArray:
    """Rows that a robust training learns from: those that can be used and are of no split that judges or selects."""
    learnt_N: BoolArray = (ingested.problem_N == "") & ~rows_of_split(ingested.table, TEST_NAMES | VALIDATION_NAMES)
    return learnt_N


def training_seconds(plan: TrainPlan, ingested: Ingested, costs: UnitCosts, *, num_trainings: int) -> dict[str, float]:
    """Seconds of a robust training's decoding, pre-training and training.

    A published schedule decides its steps while it runs, so ``--preset paper`` has no seconds of training.

    Args:
        plan: The plan.
        ingested: The table.
        costs: What the parts take.
        num_trainings: Trainings of one budget beside each other.
    """
    usable_N, num_learnt = ingested.problem_N == "", int(learnt_rows(ingested).sum())
    num_seen = int((usable_N & ~rows_of_split(ingested.table, TEST_NAMES)).sum()) + plan.base.num_unlabelled
    pass_s = costs.train_s / TRAINING_PASSES
    seconds = {
        "decode": (int(usable_N.sum()) + plan.base.num_unlabelled) * costs.decode_s,
        "pre-train": num_seen * plan.base.simclr.epochs * plan.base.simclr.passes_an_epoch * pass_s,
    }
    if plan.base.preset != "paper":
        seconds["train"] = num_learnt * plan.budget.passes * num_trainings * pass_s
    return seconds


def _time_decoding(files: list[str], plan: Plan) -> float:
    """Seconds one image takes on one thread."""
    sample = files[:: max(1, len(files) // TIMED_IMAGES)][:TIMED_IMAGES]

    def work() -> None:
        for file in sample:
            with suppress(UnreadableImage):
                decode(Path(file), pixel_mapping(plan))

    return _fastest(work) / len(sample)


def _time_training(plan: Plan, num_classes: int) -> tuple[float, int]:
    """Seconds of training on one image once, and the width of the features."""
    from noisyclean.nn.backbone import create_backbone, feature_width

    runtime = choose_runtime(plan.device, threads=plan.threads, dtype=plan.dtype)
    runtime = replace(runtime, replays=plan.engine.replay and plan.processes == 1)
    net = create_backbone(plan.backbone, num_classes=num_classes, seed=plan.seed).to(runtime.device).train()
    x_BIHW = torch.zeros(plan.probe.batch, 3, plan.prepare.size_px, plan.prepare.size_px, device=runtime.device)
    x_BIHW = x_BIHW.contiguous(memory_format=torch.channels_last)
    label_B = torch.zeros(plan.probe.batch, dtype=torch.int64, device=runtime.device)
    descent = Descent(net, runtime, optimizer=plan.probe.optimizer, weight_decay=plan.probe.weight_decay)

    def figures_of(_: torch.Generator, x_BIHW: Tensor, label_B: Tensor) -> Figures:
        with runtime.autocast():
            logits_BC = net(x_BIHW)
        return {"loss": nn.functional.cross_entropy(logits_BC.float(), label_B)}

    def step() -> None:
        figures = descent.step(figures_of, x_BIHW, label_B, seed=0, rate=0.0)
        float(figures["loss"].detach())  # waits for an accelerator

    with at_work(runtime):
        step()
        seconds = _fastest(step)
    return seconds / len(x_BIHW), feature_width(net)


def _fastest(work: Callable[[], None]) -> float:
    """Seconds of the fastest of several times: whatever else the machine does only ever makes them slower."""
    seconds: list[float] = []
    while (len(seconds) < LEAST_TIMES or sum(seconds) < LEAST_S) and sum(seconds) < MOST_S:
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return min(seconds)


def _image_passes(plan: Plan, num: int) -> float:
    """Training passes of all stages, evaluations counted as the share of a pass that they are."""
    if plan.way != "train":
        return num * EVALUATION_SHARE if plan.way == "frozen" else 0
    probe = plan.probe.num_nets * (plan.probe.epochs + evaluation_epochs(plan.probe.num_recordings))
    pretraining = plan.simclr.epochs * plan.simclr.passes_an_epoch / TRAINING_PASSES
    return num * probe + (num + plan.num_unlabelled) * pretraining
