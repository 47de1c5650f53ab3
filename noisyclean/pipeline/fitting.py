"""What the networks of an audit do on the device: SimCLR, then the probe's training with its record."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from noisyclean.base.files import atomic_path, write_npz
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.augment import training_views
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.loop import fit
from noisyclean.nn import create_backbone
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.probe import Probe
from noisyclean.types import FloatArray

__all__ = ["pretrain_backbone", "save_weights", "train_net"]


def pretrain_backbone(folder: Path, prepared: Prepared, plan: Plan, runtime: Runtime, reporter: Reporter) -> Path:
    """SimCLR on the images; the weights are written to ``backbone.safetensors``."""
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
    return weights


def train_net(
    index: int,
    folder: Path,
    prepared: Prepared,
    start: Path | None,
    weight_N: FloatArray,
    plan: Plan,
    runtime: Runtime,
    reporter: Reporter,
) -> None:
    """Train one of the probe's nets, from pre-trained weights if any; leave its average and the record."""
    pixels, label_N = _on_device(prepared, runtime)
    net = create_backbone(
        plan.backbone, num_classes=prepared.table.num_classes, seed=plan.seed, key=("probe", index)
    ).to(runtime.device)
    if start is not None:
        net.load_state_dict(load_file(start), strict=False)
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


def _on_device(prepared: Prepared, runtime: Runtime) -> tuple[Pixels, torch.Tensor]:
    pixels = load_pixels(prepared.images_NHWI, runtime.device)
    return pixels, torch.from_numpy(prepared.table.label_N).to(runtime.device)


def save_weights(net: nn.Module, path: Path) -> Path:
    """Write a net's state as safetensors and return the path."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in net.state_dict().items()}, temporary)
    return path
