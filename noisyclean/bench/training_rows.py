"""Rows about training: ``simclr``, ``simclr-bf16``, ``dividemix``, ``audit``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from torch import nn

from noisyclean.base.log import Silent
from noisyclean.base.runtime import Runtime
from noisyclean.bench.harness import Contest
from noisyclean.bench.limits import count_flops, finish
from noisyclean.bench.peers import LightlySimCLR
from noisyclean.bench.plain_loops import PlainDivideMix, cross_validated, worst_first
from noisyclean.bench.workload import NUM_CLASSES, Workload
from noisyclean.config import SimCLRConfig
from noisyclean.data.augment import strong, weak
from noisyclean.data.decode import PixelMapping
from noisyclean.data.ingest import read_labels
from noisyclean.data.store import build_store
from noisyclean.engine.loop import Task
from noisyclean.errors import DataError
from noisyclean.nn import create_backbone
from noisyclean.ops.metrics import detection_metrics
from noisyclean.pipeline.audit import audit as run_audit
from noisyclean.pipeline.evaluate import evaluate, true_labels
from noisyclean.pipeline.plan import SMALL_VIEW_SIDE
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.dividemix_settings import DivideMixSettings
from noisyclean.robust.method import TrainingData
from noisyclean.robust.methods.dividemix import DivideMix
from noisyclean.types import FloatArray

__all__ = ["Steps", "audit", "dividemix", "ordinary", "our_dividemix", "our_simclr", "simclr"]

FOLDS = 5
QUALITY = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


@dataclass(kw_only=True)
class Steps:
    """A training to be timed; each call is one more epoch."""

    task: Task
    num: int
    """Steps of an epoch, of all nets."""
    device: torch.device
    epoch: int = -1

    def __call__(self) -> None:
        """A whole epoch."""
        self.begin()
        self.train()

    def begin(self) -> None:
        """What comes before the steps."""
        self.epoch += 1
        self.task.begin_epoch(self.epoch)

    def train(self) -> None:
        """The epoch's steps, until the device has done them."""
        for step in range(self.num):
            self.task.step(self.epoch, step)
        finish(self.device)


def backbone_name(work: Workload) -> str:
    """The default of the plan for pictures of 32 px on this device."""
    return "noisyclean_compact" if work.runtime.device.type == "cpu" else "noisyclean_resnet18"


def simclr(work: Workload, *, dtype: torch.dtype, is_channels_last: bool) -> Contest:
    """SimCLR's training steps on two views, as large as the plan wants them, against lightly's on two whole ones."""
    device, batch = work.runtime.device, work.amounts.simclr_batch
    theirs = _net(work, 0)
    peer = LightlySimCLR(
        work.small_NHWI[: work.amounts.images],
        theirs,
        num_features=theirs.num_features,  # type: ignore[arg-type]
        batch=batch,
        workers=work.runtime.threads,
        device=device,
        dtype=dtype,
        is_channels_last=is_channels_last,
    )

    def peers() -> None:
        peer.epoch()
        finish(device)

    two_whole_views = SimCLRConfig(epochs=1000, batch=batch, num_views=2)
    view_side = SMALL_VIEW_SIDE if device.type == "cpu" else 1.0
    make = partial(our_simclr, config=replace(two_whole_views, view_side=view_side))
    ours = make(work)
    remarks = [] if view_side == 1 else [f"views of {view_side:g} times the images' side"]
    if is_channels_last and dtype == torch.float32:
        remarks.append("bfloat16 is no faster here: float32 on both sides")
    return Contest(
        ours=ours,
        peer=peers,
        ours_alike=None if view_side == 1 else our_simclr(work, config=two_whole_views),
        amount=ours.num * batch,
        bound="convolution",
        work=count_flops(ordinary(make, work)),
        check=lambda: "; ".join(remarks),
    )


def our_simclr(work: Workload, *, config: SimCLRConfig, runtime: Runtime | None = None) -> Steps:
    """Our SimCLR."""
    device = work.runtime.device
    task = SimCLR(
        pixels=work.pixels,
        label_N=work.labels(len(work.pixels)),
        net=_net(work, 0).to(device),
        augmentation=strong(),
        config=config,
        runtime=runtime or work.runtime,
        seed=0,
    )
    return Steps(task=task, num=work.amounts.images // config.batch, device=device)


def our_dividemix(work: Workload, *, guess: Literal["step", "epoch"] = "step", runtime: Runtime | None = None) -> Steps:
    """Our DivideMix; an epoch begins with a division, which may give the epoch's guesses too."""
    device, num = work.runtime.device, work.amounts.divided
    batch = _dividemix_batch(num)
    label_N = work.labels(num)
    data = TrainingData(
        pixels=work.pixels.only(torch.arange(num)),
        label_N=label_N,
        num_classes=NUM_CLASSES,
        train_T=torch.arange(num, device=device),
        verified_N=torch.zeros(num, dtype=torch.bool, device=device),
        weak=weak(),
        strong=strong(),
    )
    settings = DivideMixSettings(
        epochs=10_000,
        warmup_epochs=0,
        batch=batch,
        ema_decay=0.0,
        guess=guess,
        lambda_u=25.0,
        steps="fixed",
        optimizer="plain-sgd",
    )
    method = DivideMix(
        data=data,
        make_net=lambda index: _net(work, NUM_CLASSES, index).to(device),
        settings=settings,
        runtime=runtime or work.runtime,
        seed=0,
    )
    return Steps(task=method, num=2 * (num // (2 * batch)), device=device)


def ordinary(make: Callable[..., Steps], work: Workload) -> Steps:
    """The same training by ordinary steps: others do not tell how much they compute, or compute more or fewer zeros."""
    return make(work, runtime=replace(work.runtime, compiles=False, replays=False, suits_convolutions=False))


def dividemix(work: Workload) -> Contest:
    """One epoch of DivideMix, division included, against a plain loop that guesses anew at each step."""
    device, num = work.runtime.device, work.amounts.divided
    batch = _dividemix_batch(num)
    make = partial(our_dividemix, guess="epoch")
    ours = make(work)
    peer = PlainDivideMix(
        work.small_NHWI[:num],
        work.labels(num),
        [_net(work, NUM_CLASSES, index).to(device) for index in range(2)],
        num_classes=NUM_CLASSES,
        batch=batch,
        workers=work.runtime.threads,
        device=device,
    )

    def peers() -> None:
        peer.epoch(ours.num // 2)
        finish(device)

    amount = float(ours.num * 2 * batch)
    flops = count_flops(ordinary(make, work))
    return Contest(
        ours=ours,
        peer=peers,
        ours_alike=our_dividemix(work),
        amount=amount,
        bound="convolution",
        work=flops,
        check=lambda: "guesses are the division's, where the peer makes fresh ones at each step",
    )


def audit(work: Workload) -> Contest:
    """The whole audit, from files to the report, against cleanlab on five-fold cross-validation of the same net."""
    labels, truth = work.root / "labels.csv", work.root / "truth.csv"
    if not labels.exists():
        raise DataError(f"--data {work.root}: no labels.csv", hint="The row `audit` needs images/ and labels.csv.")
    table = work.scratch / "first.csv"
    pd.read_csv(labels, dtype=str).head(work.amounts.audited).to_csv(table, index=False)
    run = work.scratch / "audit"
    scores: dict[str, FloatArray] = {}

    def ours() -> None:
        shutil.rmtree(run, ignore_errors=True)
        device = work.runtime.device.type
        run_audit(work.images, table, out=run, device=device, set=work.amounts.audit_settings)

    def peer() -> None:
        scores.update(_cleanlab(work, table))

    def check() -> str:
        if not truth.exists():
            return "no truth.csv to judge by"
        given = read_labels(work.images, table).table
        is_wrong_N = given.given_label() != true_labels(pd.Series(given.image_path_N), truth)
        found = {name: detection_metrics(score_N, is_wrong_N)["average_precision"] for name, score_N in scores.items()}
        name = max(found, key=lambda name: found[name] or 0.0)
        ours_ap = evaluate(run, truth=truth)["average_precision"]
        return f"average precision {ours_ap:.3f}, cleanlab's best of three scores {found[name]:.3f} ({name})"

    amount = len(pd.read_csv(table))
    return Contest(ours=ours, peer=peer, amount=amount, check=check, repeats=1, is_warmed_up=False)


def _cleanlab(work: Workload, table: Path) -> dict[str, FloatArray]:
    """Three scores of every label, from files on."""
    given = read_labels(work.images, table).table
    mapping, place = PixelMapping(size_px=32), work.scratch / "folds"
    shutil.rmtree(place, ignore_errors=True)
    files, threads = given.file_N.tolist(), work.runtime.threads
    store = build_store(place, files, mapping, threads=threads, reporter=Silent())
    p_NC = cross_validated(
        store.images_NHWI,
        given.label_N,
        lambda: _net(work, given.num_classes).to(work.runtime.device),
        num_folds=FOLDS,
        epochs=work.amounts.folds_epochs,
        batch=min(128, len(given) // 8),
        workers=threads,
        device=work.runtime.device,
    )
    return {method: worst_first(given.label_N, p_NC, method) for method in QUALITY}


def _dividemix_batch(num: int) -> int:
    return min(64, num // 8)


def _net(work: Workload, num_classes: int, index: int = 0) -> nn.Module:
    return create_backbone(backbone_name(work), num_classes=num_classes, seed=0, key=("bench", index))
