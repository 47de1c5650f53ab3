"""``--dry-run``: what an audit would take, measured on a handful of images and one training step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from noisyclean.base.log import Reporter
from noisyclean.base.runtime import choose_runtime, use_threads
from noisyclean.config import Plan
from noisyclean.data.decode import UnreadableImage, decode
from noisyclean.data.ingest import Ingested
from noisyclean.nn import create_backbone
from noisyclean.pipeline.given import check_given
from noisyclean.pipeline.plan import EVALUATION_SHARE, PlanRequest, decide_plan, evaluation_epochs
from noisyclean.pipeline.preparing import pixel_mapping, refuse_too_many

__all__ = ["estimate", "time_decoding", "time_step"]

SCHEMA_VERSION = 1
TIMED_IMAGES = 32
TIMED_STEPS = 2
FIXED_MEMORY_BYTES = 700 * 2**20
"""Of the libraries, before any image."""
ROW_BYTES = 600
"""Of a row of the table with its path, in memory."""
CSV_ROW_BYTES = 160


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
    plan = decide_plan(request, ingested.table, num_unlabelled=num_unlabelled)
    for name, reason in plan.reasons.items():
        reporter.say(f"{name}: {reason}")
    usable_N = ingested.problem_N == ""
    num = int(usable_N.sum())
    files = ingested.table.file_N[usable_N].tolist()
    step_s, num_features = time_step(plan, ingested.table.num_classes)
    seconds = {
        "decode": (num + plan.num_unlabelled) * time_decoding(files, plan) / plan.threads,
        "train": step_s * _image_passes(plan, num) / plan.probe.batch,
    }
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
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
            "peak_memory_bytes": _peak_memory(plan, num, ingested.table.num_classes, num_features),
            "output_bytes": _output_sizes(plan, num, ingested.table.num_classes, num_features),
        },
    }


def time_decoding(files: list[str], plan: Plan) -> float:
    """Seconds one image takes on one thread."""
    sample = files[:: max(1, len(files) // TIMED_IMAGES)][:TIMED_IMAGES]
    start = time.perf_counter()
    for file in sample:
        try:
            decode(Path(file), pixel_mapping(plan))
        except UnreadableImage:
            continue
    return (time.perf_counter() - start) / len(sample)


def time_step(plan: Plan, num_classes: int) -> tuple[float, int]:
    """Seconds of one training step on a batch of the probe, and the width of the features."""
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
    return seconds / TIMED_STEPS, int(net.num_features)  # type: ignore[arg-type]


def _image_passes(plan: Plan, num: int) -> float:
    """Training passes of all stages, evaluations counted as the share of a pass that they are."""
    if plan.way != "train":
        return num * EVALUATION_SHARE if plan.way == "frozen" else 0
    probe = plan.probe.num_nets * (plan.probe.epochs + evaluation_epochs(plan.probe.num_recordings))
    return num * probe + (num + plan.num_unlabelled) * 2 * plan.simclr.epochs


def _peak_memory(plan: Plan, num: int, num_classes: int, num_features: int) -> int:
    """The libraries, the table, the evidence of all networks, and the images on their way through the page cache."""
    recorded = _num_nets(plan) * (2 * plan.probe.num_recordings + num_classes + num_features)
    return FIXED_MEMORY_BYTES + num * (ROW_BYTES + 2 * 4 * recorded + 3 * plan.prepare.size_px**2)


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
