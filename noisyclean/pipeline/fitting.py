"""The trainings of an audit, each done by all processes of a team together; the first alone writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from noisyclean.base.files import atomic_path, write_npz
from noisyclean.base.log import Reporter, Silent
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.augment import training_views
from noisyclean.data.batches import Pixels, channel_statistics, load_pixels
from noisyclean.data.rows import ImageRows, Images
from noisyclean.data.splits import HELD_OUT
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.distributed import Share
from noisyclean.engine.loop import fit
from noisyclean.engine.team import call_team
from noisyclean.nn import create_backbone
from noisyclean.pipeline.machine import machine
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.unlabelled import Unlabelled
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.probe import Probe
from noisyclean.types import FloatArray, IntArray

__all__ = ["JOBS", "TrainingSet", "save_weights", "train_net", "train_simclr"]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Decoded images, which every process of a team opens for itself, and their labels."""

    images_NHWI: ImageRows
    label_N: IntArray
    num_classes: int
    unlabelled_UHWI: ImageRows | None = None
    """More images, for pre-training alone."""

    @classmethod
    def of(cls, prepared: Prepared, *, unlabelled: Unlabelled | None = None) -> TrainingSet:
        """The usable rows of a run."""
        return cls(
            images_NHWI=prepared.images_NHWI,
            label_N=prepared.table.label_N,
            num_classes=prepared.table.num_classes,
            unlabelled_UHWI=None if unlabelled is None else unlabelled.images_UHWI,
        )

    def on_device(self, runtime: Runtime) -> tuple[Pixels, Tensor]:
        """Images and labels where they are trained on."""
        images: Images = self.images_NHWI
        if self.unlabelled_UHWI is not None:
            images = np.concatenate([self.images_NHWI[:], self.unlabelled_UHWI[:]])
        pixels = load_pixels(images, runtime.device, statistics=channel_statistics(self.images_NHWI))
        return pixels, torch.from_numpy(self.label_N).to(runtime.device)


def train_simclr(data: TrainingSet, folder: Path, plan: Plan, *, reporter: Reporter) -> Path:
    """Pre-train a backbone on the images, labels ignored; returns its weights' file."""
    call_team("simclr", data=data, folder=folder.resolve(), plan=plan)
    return _train_simclr(data, folder, plan, reporter)


def train_net(
    data: TrainingSet,
    folder: Path,
    plan: Plan,
    *,
    index: int,
    start: Path | None,
    weight_N: FloatArray,
    reporter: Reporter,
) -> None:
    """Train one of the probe's nets and write what it recorded.

    Args:
        data: Images and labels.
        folder: Of the stage.
        plan: Backbone, views, counts and rates.
        index: Which net.
        start: Weights of the backbone to start from; random ones by default.
        weight_N: How much each image counts.
        reporter: Hears about the progress.
    """
    start = None if start is None else start.resolve()
    call_team("net", data=data, folder=folder.resolve(), plan=plan, index=index, start=start, weight_N=weight_N)
    _train_net(data, folder, plan, index, start, weight_N, reporter)


def _train_simclr(data: TrainingSet, folder: Path, plan: Plan, reporter: Reporter) -> Path:
    with machine(plan, is_shared=True) as runtime:
        pixels, label_N = data.on_device(runtime)
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
    path = folder / "backbone.safetensors"
    if Share.current().rank == 0:
        save_weights(net, path)
    checkpoint.discard()
    return path


def _train_net(
    data: TrainingSet,
    folder: Path,
    plan: Plan,
    index: int,
    start: Path | None,
    weight_N: FloatArray,
    reporter: Reporter,
) -> None:
    with machine(plan, is_shared=True) as runtime:
        pixels, label_N = data.on_device(runtime)
        net = create_backbone(plan.backbone, num_classes=data.num_classes, seed=plan.seed, key=("probe", index))
        if start is not None:
            net.load_state_dict(load_file(start), strict=False)
        task = Probe(
            pixels=pixels,
            label_N=label_N,
            weight_N=torch.from_numpy(weight_N).to(runtime.device),
            net=net.to(runtime.device),
            net_index=index,
            augmentation=training_views(plan.augment, is_strong=False),
            config=plan.probe,
            runtime=runtime,
            seed=plan.seed,
        )
        checkpoint = Checkpoint(folder / f"net-{index}.checkpoint.pt")
        title = f"probe {index + 1} of {plan.probe.num_nets}"
        fit(task, title=title, num_epochs=plan.probe.epochs, checkpoint=checkpoint, reporter=reporter)
        record = {name: tensor.numpy() for name, tensor in vars(task.record()).items()}
        record |= pixels.normalisation() | {HELD_OUT: weight_N == 0}
    if Share.current().rank == 0:
        save_weights(task.average.model, folder / f"net-{index}.safetensors")
        write_npz(folder / f"net-{index}.npz", record)
    checkpoint.discard()


def save_weights(net: nn.Module, path: Path) -> Path:
    """Write a net's state as safetensors and return the path."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in net.state_dict().items()}, temporary)
    return path


JOBS: Mapping[str, Callable[..., object]] = {
    "simclr": partial(_train_simclr, reporter=Silent()),
    "net": partial(_train_net, reporter=Silent()),
}
"""What the first process of a team calls the others to."""
