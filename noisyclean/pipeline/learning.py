"""Stages ``pretrain`` and ``train-probe``: what the networks learn, and what they leave behind as evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.special import log_softmax
from torch import nn

from noisyclean.base.files import atomic_path, write_npz
from noisyclean.base.log import Reporter
from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.augment import Augmentation, strong, weak
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.loop import fit
from noisyclean.nn import create_backbone
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.machine import machine, training_settings
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, TakenOver, run_stage
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.probe import Probe
from noisyclean.types import BoolArray, Evidence, FloatArray

__all__ = [
    "Learned",
    "pretrain_stage",
    "probe_stage",
    "save_weights",
    "training_views",
]


HELD_OUT_STEPS = 10_000
"""Of the share held out."""
MOST_HELD_OUT = 0.5
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
    run: RunDir, prepared: Prepared, plan: Plan, *, reporter: Reporter, instead: TakenOver | None = None
) -> Stage | None:
    """SimCLR on the images, labels ignored; None where the plan leaves it out."""
    if plan.simclr.epochs == 0:
        return None

    def work(folder: Path) -> list[Path]:
        with machine(plan) as runtime:
            pixels, label_N = _on_device(prepared, runtime)
            net = create_backbone(plan.backbone, num_classes=0, seed=plan.seed, key=("simclr",)).to(runtime.device)
            task = SimCLR(
                pixels=pixels,
                label_N=label_N,
                net=net,
                augmentation=training_views(plan.augment, is_strong=True),
                config=plan.simclr,
                runtime=runtime,
                seed=plan.seed,
            )
            checkpoint = Checkpoint(folder / "checkpoint.pt")
            history = fit(task, title="simclr", num_epochs=plan.simclr.epochs, checkpoint=checkpoint, reporter=reporter)
            reporter.say("simclr: " + ", ".join(f"{name} {value:.3f}" for name, value in history[-1].items()))
            weights = save_weights(net, folder / "backbone.safetensors")
            checkpoint.discard()
            return [weights]

    settings = training_settings(plan) | {"simclr": asdict(plan.simclr)}
    inputs = {"prepare": prepared.stage.fingerprint}
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

    def work(folder: Path) -> list[Path]:
        with machine(plan) as runtime:
            for index in range(plan.probe.num_nets):
                if not (folder / f"net-{index}.npz").exists():
                    _train_net(index, folder, prepared, start, weight_N, plan, runtime, reporter)
        stems = [f"net-{index}" for index in range(plan.probe.num_nets)]
        return [folder / f"{stem}{end}" for stem in stems for end in (".npz", ".safetensors")]

    inputs = {"prepare": prepared.stage.fingerprint, "embed": embedded.stage.fingerprint}
    inputs |= {"pretrain": start.fingerprint} if start else {}
    settings = training_settings(plan) | {"probe": asdict(plan.probe)}
    stage = run_stage(run, "train-probe", work, settings=settings, inputs=inputs, reporter=reporter, instead=instead)
    return Learned(
        stage=stage,
        evidence=_gather(stage.folder, prepared, embedded, held_out_N, plan.probe.num_nets),
        weights=stage.folder / "net-0.safetensors",
    )


def training_views(kind: str, *, is_strong: bool) -> Augmentation:
    """The views of a kind of images: ``natural``, ``grey``, ``oriented`` or ``none``."""
    assert kind != "auto", "measured before anything is trained"
    if kind == "none":
        return Augmentation()
    if is_strong:
        return strong(flip=kind != "oriented", colour=kind != "grey")
    return weak(flip=kind != "oriented")


def _train_net(
    index: int,
    folder: Path,
    prepared: Prepared,
    start: Stage | None,
    weight_N: FloatArray,
    plan: Plan,
    runtime: Runtime,
    reporter: Reporter,
) -> None:
    pixels, label_N = _on_device(prepared, runtime)
    net = create_backbone(
        plan.backbone, num_classes=prepared.table.num_classes, seed=plan.seed, key=("probe", index)
    ).to(runtime.device)
    if start is not None:
        net.load_state_dict(load_file(start.folder / "backbone.safetensors"), strict=False)
    task = Probe(
        pixels=pixels,
        label_N=label_N,
        weight_N=torch.from_numpy(weight_N).to(runtime.device),
        net=net,
        net_index=index,
        augmentation=training_views(plan.augment, is_strong=False),
        config=plan.probe,
        runtime=runtime,
        seed=plan.seed,
    )
    checkpoint = Checkpoint(folder / f"net-{index}.checkpoint.pt")
    fit(
        task,
        title=f"probe {index + 1} of {plan.probe.num_nets}",
        num_epochs=plan.probe.epochs,
        checkpoint=checkpoint,
        reporter=reporter,
    )
    save_weights(task.average.model, folder / f"net-{index}.safetensors")
    record = {name: tensor.numpy() for name, tensor in vars(task.record()).items()}
    write_npz(folder / f"net-{index}.npz", record)
    checkpoint.discard()


def _hold_out(prepared: Prepared, embedded: Embedded, plan: Plan) -> BoolArray:
    """Groups no net learns from, chosen by their content: the same ones in every round of the same images."""
    first_G: dict[int, str] = {}
    for group, content in zip(embedded.group_N.tolist(), prepared.content_N.tolist(), strict=True):
        first_G[group] = min(content, first_G.get(group, content))
    limit = round(HELD_OUT_STEPS * plan.probe.held_out)
    held_G = {
        group
        for group, content in first_G.items()
        if seed_from(plan.seed, "held out", content) % HELD_OUT_STEPS < limit
    }
    held_out_N = np.asarray([group in held_G for group in embedded.group_N.tolist()])
    return held_out_N if held_out_N.mean() < MOST_HELD_OUT else np.zeros_like(held_out_N)


def _weights(embedded: Embedded, held_out_N: BoolArray) -> FloatArray:
    """Weight of each picture: near-duplicates together count as one, held-out ones as none; mean 1."""
    weight_N = np.where(held_out_N, 0, 1 / np.bincount(embedded.duplicate_N)[embedded.duplicate_N])
    normalised: FloatArray = (weight_N / weight_N.mean()).astype(np.float32)
    return normalised


def _gather(folder: Path, prepared: Prepared, embedded: Embedded, held_out_N: BoolArray, num_nets: int) -> Evidence:
    records = [np.load(folder / f"net-{index}.npz", allow_pickle=False) for index in range(num_nets)]
    recorded = [len(record["loss_EN"]) for record in records]
    return Evidence(
        label_N=prepared.table.label_N,
        num_classes=prepared.table.num_classes,
        z_ND=np.concatenate([record["z_ND"] for record in records], axis=1) / np.sqrt(num_nets),
        log_p_NC=log_softmax(np.mean([record["log_p_NC"] for record in records], axis=0), axis=1),
        outside_log_p_NC=embedded.outside_log_p_NC,
        held_out_N=held_out_N,
        loss_EN=np.concatenate([record["loss_EN"] for record in records]),
        margin_EN=np.concatenate([record["margin_EN"] for record in records]),
        net_E=np.repeat(np.arange(num_nets), recorded),
        group_N=embedded.group_N,
        disagreement_N=prepared.table.disagreement_N,
    )


def _on_device(prepared: Prepared, runtime: Runtime) -> tuple[Pixels, torch.Tensor]:
    pixels = load_pixels(prepared.images_NHWI, runtime.device)
    return pixels, torch.from_numpy(prepared.table.label_N).to(runtime.device)


def save_weights(net: nn.Module, path: Path) -> Path:
    """Write a net's state as safetensors and return the path."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in net.state_dict().items()}, temporary)
    return path
