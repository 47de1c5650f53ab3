"""Stage ``train-<name>``: one robust training, from weights to weights, evidence and curves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from noisyclean.base.files import read_json, write_json, write_text
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import training_views
from noisyclean.data.batches import Pixels
from noisyclean.data.splits import VALIDATION_NAMES, rows_of_split
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.loop import fit
from noisyclean.engine.tensorboard import tensorboard_writer
from noisyclean.nn import create_backbone
from noisyclean.nn.weights import load_encoder
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.evidence import EVIDENCE, read_evidence, write_evidence
from noisyclean.pipeline.fitting import save_weights
from noisyclean.pipeline.machine import machine, training_settings
from noisyclean.pipeline.posterior import posterior_of
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, digest, run_stage
from noisyclean.pipeline.starting import Start, normalised_pixels
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.robust.method import NetMaker, RobustMethod, TrainingData, methods
from noisyclean.robust.watch import Watched
from noisyclean.types import BoolArray, Evidence, IntArray

__all__ = ["METRICS", "Job", "Trained", "train_stage"]

SELECTED = "selected.safetensors"
RECORD = "record.json"
METRICS = "metrics.jsonl"
TRAINING, EPOCH = "training", "epoch"
"""Names in each of its lines of what the figures beside them are of."""
Tell = Callable[[list[dict[str, float]]], None]
"""Hears the figures of all epochs so far."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to do."""

    name: str
    """The method, or what is special about this training of it."""
    method: str
    settings: Any
    label_N: IntArray
    """Labels to train on."""
    train_N: BoolArray
    """Rows to train on."""
    held_out_N: BoolArray
    """Rows kept out by chance or by the table's split, not for what their labels are: they select an epoch."""
    truth_N: IntArray | None = None
    """True classes, for oracles."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished training."""

    job: Job
    stage: Stage
    evidence: Evidence
    nets: list[Path]
    """Weights after the last epoch, of the exported net first."""
    selected: Path | None
    """Weights of the epoch chosen on held-out labels."""
    record: Mapping[str, Any]
    """Counts, notes, the chosen epoch, and how pixels were normalised."""
    history: list[dict[str, float]]
    """Figures of every epoch."""


def train_stage(
    run: RunDir,
    prepared: Prepared,
    embedded: Embedded,
    start: Start,
    job: Job,
    plan: TrainPlan,
    *,
    reporter: Reporter,
    tensorboard: bool = False,
) -> Trained:
    """Train one method and keep what it leaves behind."""

    def work(folder: Path) -> list[Path]:
        writes: list[Tell] = [partial(_write_metrics, folder / METRICS, job.name)]
        if tensorboard:
            writes.append(tensorboard_writer(folder / "tensorboard"))
        with machine(plan.base) as runtime:
            return _train(folder, prepared, embedded, start, job, plan, runtime, reporter, writes)

    settings = training_settings(plan.base) | {"method": job.method, "robust": asdict(job.settings)}
    if job.method in (outside := methods.outside()):
        settings["plugin"] = outside[job.method]
    table = prepared.table
    inputs = {
        "prepare": prepared.stage.fingerprint,
        "embed": embedded.stage.fingerprint,
        "start": start.fingerprint,
        "rows": digest(job.train_N, job.held_out_N, job.label_N, table.group_N, table.verified_N, job.truth_N),
    }
    stage = run_stage(run, f"train-{job.name}", work, settings=settings, inputs=inputs, reporter=reporter)
    record = read_json(stage.folder / RECORD)
    for note in record["notes"]:
        reporter.say(f"{job.name}: {note}")
    return Trained(
        job=job,
        stage=stage,
        evidence=read_evidence(stage.folder / EVIDENCE, num_classes=prepared.table.num_classes),
        nets=[stage.folder / f"net-{index}.safetensors" for index in range(record["num_nets"])],
        selected=stage.folder / SELECTED if record["selected_epoch"] else None,
        record=record,
        history=_read_metrics(stage.folder / METRICS),
    )


def _train(
    folder: Path,
    prepared: Prepared,
    embedded: Embedded,
    start: Start,
    job: Job,
    plan: TrainPlan,
    runtime: Runtime,
    reporter: Reporter,
    writes: Sequence[Tell],
) -> list[Path]:
    pixels = normalised_pixels(prepared, start, runtime)
    data = _training_data(pixels, prepared, embedded, job, plan, runtime)
    method = methods.get(job.method)(
        data=data,
        make_net=_net_maker(plan, prepared.table.num_classes, start, runtime),
        settings=job.settings,
        runtime=runtime,
        seed=plan.base.seed,
    )
    held_out_R = torch.from_numpy(np.flatnonzero(job.held_out_N)).to(runtime.device)
    label_R = torch.from_numpy(prepared.table.label_N).to(runtime.device)[held_out_R]
    watched = Watched(method, pixels=pixels, held_out_R=held_out_R, label_R=label_R, runtime=runtime)
    checkpoint = Checkpoint(folder / "checkpoint.pt")

    def tell_all(figures: list[dict[str, float]]) -> None:
        for write in writes:
            write(figures)

    history = fit(
        watched,
        title=job.name,
        num_epochs=method.num_epochs,
        checkpoint=checkpoint,
        reporter=reporter,
        after_epoch=tell_all,
    )
    _write_metrics(folder / METRICS, job.name, history)
    is_named = rows_of_split(prepared.table, VALIDATION_NAMES).any()  # a split of its own may be cleaner, or harder
    evidence = replace(method.evidence(), held_out_N=None if is_named else job.held_out_N)
    outputs = _save(folder, watched, method, pixels, evidence)
    checkpoint.discard()
    return outputs


def _save(folder: Path, watched: Watched, method: RobustMethod, pixels: Pixels, evidence: Evidence) -> list[Path]:
    nets = [save_weights(net, folder / f"net-{index}.safetensors") for index, net in enumerate(method.nets())]
    if watched.best_epoch >= 0:
        nets.append(save_weights(watched.selected(), folder / SELECTED))
    record = {
        "num_nets": len(method.nets()),
        "num_epochs": method.num_epochs,
        "num_held_out": len(watched.label_R),
        "selected_epoch": watched.best_epoch + 1,
        "selected_agreement": watched.best_agreement if watched.best_epoch >= 0 else None,
        "notes": list(method.notes),
        "mean": pixels.mean_3.tolist(),
        "std": pixels.std_3.tolist(),
    }
    write_json(folder / RECORD, record)
    return [*nets, folder / RECORD, folder / METRICS, write_evidence(folder / EVIDENCE, evidence)]


def _training_data(
    pixels: Pixels, prepared: Prepared, embedded: Embedded, job: Job, plan: TrainPlan, runtime: Runtime
) -> TrainingData:
    table = prepared.table

    def put(array: np.ndarray | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array).to(runtime.device)

    verified_N = np.zeros(len(table), dtype=bool) if table.verified_N is None else table.verified_N
    return TrainingData(
        pixels=pixels,
        label_N=torch.from_numpy(job.label_N).to(runtime.device),
        num_classes=table.num_classes,
        train_T=torch.from_numpy(np.flatnonzero(job.train_N)).to(runtime.device),
        verified_N=torch.from_numpy(verified_N).to(runtime.device),
        weak=training_views(plan.base.augment, is_strong=False),
        strong=training_views(plan.base.augment, is_strong=True),
        group_N=put(table.group_N),
        truth_N=put(job.truth_N),
        outside_log_p_NC=embedded.outside_log_p_NC,
        posterior=posterior_of(job.label_N, job.train_N, embedded.outside_log_p_NC, classes=table.classes),
    )


def _net_maker(plan: TrainPlan, num_classes: int, start: Start, runtime: Runtime) -> NetMaker:
    def make_net(index: int) -> nn.Module:
        key = ("robust", index)
        net = create_backbone(plan.base.backbone, num_classes=num_classes, seed=plan.base.seed, key=key)
        if start.weights is not None:
            load_encoder(net, load_file(start.weights), source=f"--init {plan.init}")
        return net.to(runtime.device)

    return make_net


def _write_metrics(path: Path, name: str, history: list[dict[str, float]]) -> None:
    lines = [json.dumps({TRAINING: name, EPOCH: epoch, **figures}) for epoch, figures in enumerate(history, start=1)]
    write_text(path, "".join(line + "\n" for line in lines))


def _read_metrics(path: Path) -> list[dict[str, float]]:
    """The figures of every epoch, and nothing else."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key not in (TRAINING, EPOCH)} for line in lines]
