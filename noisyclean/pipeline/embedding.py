"""Stage ``embed``: features the labels had no part in, and a first opinion on every label from outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from noisyclean.base.files import write_npz
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.data.duplicates import merge_groups, near_duplicates
from noisyclean.detect.outside import ask_outside
from noisyclean.engine.inference import embed
from noisyclean.pipeline.machine import machine, training_settings
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, digest, run_stage
from noisyclean.pretrain.patches import PatchFeatures
from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = ["Embedded", "embed_stage", "find_groups"]


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What is known of the images before any net has seen a label."""

    stage: Stage
    duplicate_N: IntArray
    """Pictures that are nearly the same have one number."""
    group_N: IntArray
    """The finest groups that keep together near-duplicates and the groups of the table."""
    outside_log_p_NC: FloatArray
    """Log class probabilities by a classifier fitted without the sample and its group."""
    accuracy: float
    """Share of the labels that classifier agrees with."""


def embed_stage(
    run: RunDir,
    prepared: Prepared,
    start: Stage | None,
    plan: Plan,
    *,
    reporter: Reporter,
    unseen_N: BoolArray | None = None,
) -> Embedded:
    """Find near-duplicates, and ask a left-out classifier on label-free features about every label.

    The features are whitened patches (stage ``embed``) or those of the pre-trained net (``embed-pretrained``). Labels
    of ``unseen_N`` are not learnt from.
    """
    name = "embed" if start is None else "embed-pretrained"
    table = prepared.table

    def work(folder: Path) -> Iterable[Path]:
        duplicate_N, group_N = find_groups(prepared)
        with machine(plan) as runtime:
            pixels = load_pixels(prepared.images_NHWI, runtime.device)
            if start is None:
                z_ND = _patch_features(pixels, plan, runtime, reporter)
            else:
                from noisyclean.nn import create_backbone

                net = create_backbone(plan.backbone, num_classes=0, seed=plan.seed).to(runtime.device)
                net.load_state_dict(load_file(start.folder / "backbone.safetensors"), strict=False)
                z_ND = embed(net, pixels, torch.arange(len(pixels)), runtime)
            opinion = ask_outside(
                z_ND, table.label_N, num_classes=table.num_classes, group_N=group_N, unseen_N=unseen_N
            )
        reporter.say(f"{name}: a classifier that left each image out agrees with {opinion.accuracy:.1%} of the labels")
        arrays = {"duplicate_N": duplicate_N, "group_N": group_N, "log_p_NC": opinion.log_p_NC}
        arrays["accuracy"] = np.asarray(opinion.accuracy)
        return [write_npz(folder / "outside.npz", arrays)]

    settings = training_settings(plan) | {"embed": asdict(plan.embed)}
    inputs = {"prepare": prepared.stage.fingerprint} | ({"pretrain": start.fingerprint} if start else {})
    if unseen_N is not None:
        inputs["unseen"] = digest(unseen_N)
    stage = run_stage(run, name, work, settings=settings, inputs=inputs, reporter=reporter)
    with np.load(stage.folder / "outside.npz", allow_pickle=False) as arrays:
        return Embedded(
            stage=stage,
            duplicate_N=arrays["duplicate_N"],
            group_N=arrays["group_N"],
            outside_log_p_NC=arrays["log_p_NC"],
            accuracy=float(arrays["accuracy"]),
        )


def find_groups(prepared: Prepared) -> tuple[IntArray, IntArray]:
    """Numbers of near-duplicates, and of the finest groups that keep those and the table's groups together."""
    duplicate_N = near_duplicates(prepared.images_NHWI)
    return duplicate_N, merge_groups(duplicate_N, prepared.table.group_N)


def _patch_features(pixels: Pixels, plan: Plan, runtime: Runtime, reporter: Reporter) -> Tensor:
    """float16: 4 KB for each image, held once."""
    features = PatchFeatures.learn(
        pixels,
        num_filters=plan.embed.num_filters,
        num_regions=plan.embed.num_regions,
        seed=plan.seed,
        runtime=runtime,
    )
    with reporter.track("embed", total=len(pixels), unit="images") as meter:
        return features.all(pixels, runtime, dtype=torch.float16, advance=meter.advance)
