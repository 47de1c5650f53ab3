"""Stages ``pretrain`` and ``train-probe``: what the networks learn, and what they leave behind as evidence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import log_softmax

from noisyclean.base.log import Reporter
from noisyclean.base.randomness import seed_from
from noisyclean.config import Plan
from noisyclean.data.batches import NORMALISATION
from noisyclean.data.splits import HELD_OUT, sample_groups
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.machine import training_settings
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, TakenOver, run_stage
from noisyclean.pipeline.unlabelled import UNLABELLED, Unlabelled
from noisyclean.types import BoolArray, Evidence, FloatArray

__all__ = ["Learned", "pretrain_stage", "probe_stage"]

TOO_MUCH_HELD_OUT = 0.5
"""A few large groups may all be drawn; then none is held out."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What is known of every label before it is judged, and the net that told, if there was one."""

    stage: Stage
    evidence: Evidence
    weights: Path | None = None
    """Of the net to hand over, as safetensors; None where no net took part."""
    method: str = "probe"
    """How that net came to be."""
    mean: tuple[float, ...] | None = None
    """Channel means the net is used to, in [0, 1]; None for those of the data."""
    std: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    """What a reader of the results should know of their making."""


def pretrain_stage(
    run: RunDir,
    prepared: Prepared,
    plan: Plan,
    *,
    reporter: Reporter,
    instead: TakenOver | None = None,
    unlabelled: Unlabelled | None = None,
) -> Stage | None:
    """SimCLR on the images and on unlabelled ones, labels ignored; None where the plan leaves it out."""
    if plan.simclr.epochs == 0:
        return None

    def work(folder: Path) -> list[Path]:
        from noisyclean.pipeline.fitting import TrainingSet, train_simclr

        return [train_simclr(TrainingSet.of(prepared, unlabelled=unlabelled), folder, plan, reporter=reporter)]

    settings = training_settings(plan) | {"simclr": asdict(plan.simclr)}
    inputs = {"prepare": prepared.stage.fingerprint}
    if unlabelled is not None:
        inputs[UNLABELLED] = unlabelled.mark
    return run_stage(run, "pretrain", work, settings=settings, inputs=inputs, reporter=reporter, instead=instead)


def probe_stage(
    run: RunDir,
    prepared: Prepared,
    start: Stage | None,
    embedded: Embedded,
    plan: Plan,
    *,
    reporter: Reporter,
    instead: TakenOver | None = None,
) -> Learned:
    """Train the probe's nets one after another and gather their evidence."""
    held_out_N = _hold_out(prepared, embedded, plan)
    weight_N = _weights(embedded, held_out_N)

    weights = None if start is None else start.folder / "backbone.safetensors"

    def work(folder: Path) -> list[Path]:
        from noisyclean.pipeline.fitting import TrainingSet, train_net

        data = TrainingSet.of(prepared)
        for index in range(plan.probe.num_nets):
            if not (folder / f"net-{index}.npz").exists():
                train_net(data, folder, plan, index=index, start=weights, weight_N=weight_N, reporter=reporter)
        stems = [f"net-{index}" for index in range(plan.probe.num_nets)]
        return [folder / f"{stem}{end}" for stem in stems for end in (".npz", ".safetensors")]

    inputs = {"prepare": prepared.stage.fingerprint, "embed": embedded.stage.fingerprint}
    inputs |= {"pretrain": start.fingerprint} if start else {}
    settings = training_settings(plan) | {"probe": asdict(plan.probe)}
    stage = run_stage(run, "train-probe", work, settings=settings, inputs=inputs, reporter=reporter, instead=instead)
    with np.load(stage.folder / "net-0.npz", allow_pickle=False) as record:
        known = NORMALISATION[0] in record  # not in those of older versions, which are normalised by the data
        mean, std = (tuple(record[name].tolist()) if known else None for name in NORMALISATION)
    return Learned(
        stage=stage,
        evidence=_gather(stage.folder, prepared, embedded, held_out_N, plan.probe.num_nets),
        weights=stage.folder / "net-0.safetensors",
        mean=mean,
        std=std,
    )


def _hold_out(prepared: Prepared, embedded: Embedded, plan: Plan) -> BoolArray:
    """Groups no net learns from, chosen by their content: the same ones whenever the same images are trained on."""
    rank_N = np.asarray([seed_from(plan.seed, "held out", content) for content in prepared.content_N.tolist()])
    held_out_N = sample_groups(embedded.group_N, rank_N, plan.probe.held_out)
    return held_out_N if held_out_N.mean() < TOO_MUCH_HELD_OUT else np.zeros_like(held_out_N)


def _weights(embedded: Embedded, held_out_N: BoolArray) -> FloatArray:
    """Weight of each picture: near-duplicates together count as one, held-out ones as none; mean 1."""
    weight_N = np.where(held_out_N, 0, 1 / np.bincount(embedded.duplicate_N)[embedded.duplicate_N])
    normalised: FloatArray = (weight_N / weight_N.mean()).astype(np.float32)
    return normalised


def _gather(folder: Path, prepared: Prepared, embedded: Embedded, held_out_N: BoolArray, num_nets: int) -> Evidence:
    """What the nets recorded; whom they held out is of their training, which may be an earlier round's."""
    records = [np.load(folder / f"net-{index}.npz", allow_pickle=False) for index in range(num_nets)]
    recorded = [len(record["loss_EN"]) for record in records]
    return Evidence(
        label_N=prepared.table.label_N,
        num_classes=prepared.table.num_classes,
        z_ND=np.concatenate([record["z_ND"] for record in records], axis=1) / math.sqrt(num_nets),
        log_p_NC=log_softmax(np.mean([record["log_p_NC"] for record in records], axis=0), axis=1),
        outside_log_p_NC=embedded.outside_log_p_NC,
        held_out_N=records[0].get(HELD_OUT, held_out_N),  # older versions did not record it
        loss_EN=np.concatenate([record["loss_EN"] for record in records]),
        margin_EN=np.concatenate([record["margin_EN"] for record in records]),
        net_E=np.repeat(np.arange(num_nets), recorded),
        group_N=embedded.group_N,
        disagreement_N=prepared.table.disagreement_N,
    )
