"""Stage ``frozen``: somebody else's backbone as it is, and a closed-form classifier on its features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from noisyclean.base.files import write_npz
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.augment import FixedView
from noisyclean.data.batches import NORMALISATION, Pixels
from noisyclean.detect.outside import OutsideOpinion, ask_outside
from noisyclean.engine.inference import lightened, pooled_features
from noisyclean.errors import UsageError
from noisyclean.nn import create_backbone
from noisyclean.nn.heads import set_classifier
from noisyclean.nn.weights import load_encoder
from noisyclean.ops.chance import fits_beyond_chance
from noisyclean.pipeline.embedding import find_groups
from noisyclean.pipeline.fitting import save_weights
from noisyclean.pipeline.learning import Learned
from noisyclean.pipeline.machine import machine, training_settings
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import run_stage
from noisyclean.pipeline.starting import Start, normalised_pixels
from noisyclean.types import Evidence

__all__ = ["RECORD", "frozen_stage"]

RECORD = "net-0.npz"
WEIGHTS = "net-0.safetensors"
BLOCK = 500
"""Images between two signs of progress."""
COMPARED = 8
"""Images on which the classifier put into the net is compared with the one that was found."""
CLOSE = 1e-2
"""Largest difference of their logits, relative to the largest one."""


def frozen_stage(run: RunDir, prepared: Prepared, start: Start, plan: Plan, *, reporter: Reporter) -> Learned:
    """Embed every image once, and ask a classifier on the features that left each image out.

    Raises:
        UsageError: The weights do not fit the backbone, the backbone takes no images of this size, or has no linear
            classifier.
    """
    table = prepared.table

    def work(folder: Path) -> Iterable[Path]:
        _, group_N = find_groups(prepared)
        with machine(plan) as runtime:
            pixels = normalised_pixels(prepared, start, runtime)
            net = _load(start, plan, table.num_classes).to(runtime.device)
            h_ND = _features(net, pixels, runtime, plan, reporter)
            opinion = ask_outside(h_ND, table.label_N, num_classes=table.num_classes, group_N=group_N)
            _classify_with(net, opinion, pixels)
        reporter.say(f"frozen: a classifier that left each image out agrees with {opinion.accuracy:.1%} of the labels")
        z_ND = nn.functional.normalize(h_ND, dim=1).cpu().numpy()
        record = {"z_ND": z_ND, "log_p_NC": opinion.log_p_NC, "group_N": group_N}
        return [write_npz(folder / RECORD, record | pixels.normalisation()), save_weights(net, folder / WEIGHTS)]

    inputs = {"prepare": prepared.stage.fingerprint, "start": start.fingerprint}
    stage = run_stage(run, "frozen", work, settings=training_settings(plan), inputs=inputs, reporter=reporter)
    with np.load(stage.folder / RECORD, allow_pickle=False) as record:
        evidence = Evidence(
            label_N=table.label_N,
            num_classes=table.num_classes,
            z_ND=record["z_ND"],
            outside_log_p_NC=record["log_p_NC"],
            group_N=record["group_N"],
            disagreement_N=table.disagreement_N,
        )
        mean, std = (tuple(record[name].tolist()) for name in NORMALISATION)
    return Learned(
        stage=stage,
        evidence=evidence,
        weights=stage.folder / WEIGHTS,
        method="frozen",
        mean=mean,
        std=std,
        notes=_notes(evidence),
    )


def _notes(evidence: Evidence) -> tuple[str, ...]:
    """What a reader should know; first of all, whether the features can be used here."""
    assert evidence.outside_log_p_NC is not None
    made = "no net was trained: the model is the frozen backbone with a closed-form classifier"
    if fits_beyond_chance(evidence.outside_log_p_NC, evidence.label_N):
        return (made,)
    return (made, "the backbone's features tell these classes apart no better than chance: take another one, or --size")


def _load(start: Start, plan: Plan, num_classes: int) -> nn.Module:
    assert start.weights is not None
    net = create_backbone(plan.backbone, num_classes=num_classes, seed=plan.seed)
    load_encoder(net, load_file(start.weights), source="--init")
    return net


def _features(net: nn.Module, pixels: Pixels, runtime: Runtime, plan: Plan, reporter: Reporter) -> Tensor:
    """Pooled features of every image, shape (N, D)."""
    parts: list[Tensor] = []
    quick = lightened(net, pixels)
    with reporter.track("embed", total=len(pixels), unit="images") as meter:
        for index_B in torch.arange(len(pixels)).split(BLOCK):
            try:
                parts.append(pooled_features(quick, pixels, index_B, runtime))
            except AssertionError as error:
                raise UsageError(
                    f"{plan.backbone}: takes no images of {plan.prepare.size_px} px: {error}",
                    hint="Leave --size out, or take another backbone.",
                ) from error
            meter.advance(len(index_B))
    return torch.cat(parts)


@torch.no_grad()
def _classify_with(net: nn.Module, opinion: OutsideOpinion, pixels: Pixels) -> None:
    """Put the closed-form classifier into the net, and see that the net then says the same.

    Raises:
        UsageError: It does not: something lies between its features and its classifier.
    """
    set_classifier(net, opinion.weight_CD, opinion.bias_C)
    x_BIHW = pixels.fixed(pixels.take(pixels.beside(torch.arange(min(COMPARED, len(pixels))))), FixedView())
    features = net.forward_features(x_BIHW)  # type: ignore[operator]
    h_BD = net.forward_head(features, pre_logits=True).flatten(1).double()  # type: ignore[operator]
    expected_BC = h_BD @ opinion.weight_CD.T + opinion.bias_C
    if (net(x_BIHW) - expected_BC).abs().max() > CLOSE * expected_BC.abs().max():
        raise UsageError(
            f"{type(net).__name__}: its classifier does not read its pooled features",
            hint="Take another backbone; resnet18 is one that works.",
        )
