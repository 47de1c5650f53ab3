"""What a plan costs on this machine, measured on a handful of images and two training steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from noisyclean.base.runtime import choose_runtime, use_threads
from noisyclean.config import Plan
from noisyclean.data.decode import UnreadableImage, decode
from noisyclean.data.ingest import Ingested
from noisyclean.pipeline.plan import EVALUATION_SHARE, evaluation_epochs
from noisyclean.pipeline.preparing import pixel_mapping
from noisyclean.pipeline.training_plan import TrainPlan

__all__ = ["PRETRAINING_PASSES", "UnitCosts", "audit_seconds", "measure_unit_costs", "training_seconds"]

TIMED_IMAGES = 32
TIMED_STEPS = 2
TRAINING_PASSES = 3
"""Of an epoch: forward and backward."""
PRETRAINING_PASSES = 2 * TRAINING_PASSES
"""Of an epoch of SimCLR: two views."""


@dataclass(frozen=True, kw_only=True)
class UnitCosts:
    """What the parts take here; plans for the same images differ in how often they do them."""

    decode_s: float
    """Seconds of decoding one image, all threads at work."""
    train_s: float
    """Seconds of training on one image once, in batches of the probe."""
    num_features: int
    """Width of the features."""


def measure_unit_costs(plan: Plan, ingested: Ingested) -> UnitCosts:
    """Decode a handful of images and make two training steps.

    Args:
        plan: The plan; any for the same images will do.
        ingested: The table.
    """
    files = ingested.table.file_N[ingested.problem_N == ""].tolist()
    train_s, num_features = _time_training(plan, ingested.table.num_classes)
    return UnitCosts(decode_s=_time_decoding(files, plan) / plan.threads, train_s=train_s, num_features=num_features)


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


def training_seconds(plan: TrainPlan, num: int, costs: UnitCosts, *, num_trainings: int) -> dict[str, float]:
    """Seconds of a robust training's decoding, pre-training and training.

    A published schedule decides its steps while it runs, so ``--preset paper`` has no seconds of training.

    Args:
        plan: The plan.
        num: Usable images.
        costs: What the parts take.
        num_trainings: Trainings of one budget beside each other.
    """
    num_all, pass_s = num + plan.base.num_unlabelled, costs.train_s / TRAINING_PASSES
    seconds = {
        "decode": num_all * costs.decode_s,
        "pre-train": num_all * PRETRAINING_PASSES * plan.base.simclr.epochs * pass_s,
    }
    if plan.base.preset != "paper":
        seconds["train"] = num * plan.budget.passes * num_trainings * pass_s
    return seconds


def _time_decoding(files: list[str], plan: Plan) -> float:
    """Seconds one image takes on one thread."""
    sample = files[:: max(1, len(files) // TIMED_IMAGES)][:TIMED_IMAGES]
    start = time.perf_counter()
    for file in sample:
        try:
            decode(Path(file), pixel_mapping(plan))
        except UnreadableImage:
            continue
    return (time.perf_counter() - start) / len(sample)


def _time_training(plan: Plan, num_classes: int) -> tuple[float, int]:
    """Seconds of training on one image once, and the width of the features."""
    from noisyclean.nn import create_backbone

    runtime = choose_runtime(plan.device, threads=plan.threads, dtype=plan.dtype)
    net = create_backbone(plan.backbone, num_classes=num_classes, seed=plan.seed).to(runtime.device).train()
    x_BIHW = torch.zeros(plan.probe.batch, 3, plan.prepare.size_px, plan.prepare.size_px, device=runtime.device)
    x_BIHW = x_BIHW.contiguous(memory_format=torch.channels_last)
    label_B = torch.zeros(plan.probe.batch, dtype=torch.int64, device=runtime.device)
    with use_threads(plan.threads):
        seconds = 0.0
        for step in range(TIMED_STEPS + 1):
            start = time.perf_counter()
            with runtime.autocast():
                logits_BC = net(x_BIHW)
            nn.functional.cross_entropy(logits_BC.float(), label_B).backward()
            float(logits_BC.detach().sum())  # waits for an accelerator
            seconds += (time.perf_counter() - start) if step else 0.0
    return seconds / (TIMED_STEPS * len(x_BIHW)), int(net.num_features)  # type: ignore[arg-type]


def _image_passes(plan: Plan, num: int) -> float:
    """Training passes of all stages, evaluations counted as the share of a pass that they are."""
    if plan.way != "train":
        return num * EVALUATION_SHARE if plan.way == "frozen" else 0
    probe = plan.probe.num_nets * (plan.probe.epochs + evaluation_epochs(plan.probe.num_recordings))
    return num * probe + (num + plan.num_unlabelled) * 2 * plan.simclr.epochs
