"""A handful of shapes as training data, and methods with settings small enough for them: for contracts and tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from noisyclean.base.log import Silent
from noisyclean.base.runtime import Runtime, choose_runtime
from noisyclean.data.augment import strong, weak
from noisyclean.data.batches import load_pixels
from noisyclean.data.shapes import SHAPES, draw_shape
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.loop import fit
from noisyclean.nn.compact import CompactNet
from noisyclean.robust.method import Facts, RobustMethod, TrainingData

__all__ = [
    "Killed",
    "KilledAt",
    "make_data",
    "make_net",
    "make_small",
    "run",
    "runtime",
    "same_weights",
    "small_settings",
]

SMALL: dict[str, Any] = {
    "epochs": 4,
    "warmup_epochs": 1,
    "batch": 8,
    "plus_epochs": 2,
    "memory_after": 1,
    "memory_per_class": 8,
    "divide_every": 1,
    "refined_epochs": 2,
}
"""For the settings a method has among these."""


def runtime() -> Runtime:
    """One thread, full precision."""
    return choose_runtime("cpu", threads=1, dtype="float32")


def make_data(
    num: int = 48, *, rate: float = 0.2, seed: int = 0, label: list[int] | None = None, num_held_out: int = 6
) -> TrainingData:
    """Shapes of three classes, a share of their labels wrong, the last few rows held out."""
    generator = np.random.default_rng(seed)
    images = np.stack([draw_shape(SHAPES[row % 3], generator) for row in range(num)])
    truth_N = np.arange(num) % 3
    wrong_N = generator.random(num) < rate
    label_N = np.where(wrong_N, (truth_N + 1) % 3, truth_N) if label is None else np.asarray(label)
    return TrainingData(
        pixels=load_pixels(images, torch.device("cpu")),
        label_N=torch.from_numpy(label_N.astype(np.int64)),
        num_classes=3,
        train_T=torch.arange(num - num_held_out),
        verified_N=torch.zeros(num, dtype=torch.bool),
        weak=weak(shift=1 / 16),
        strong=strong(),
        truth_N=torch.from_numpy(truth_N),
        posterior=lambda log_p_NC: (np.exp(log_p_NC) + np.eye(3)[label_N]) / 2,
    )


def make_net(index: int) -> nn.Module:
    """A small net of three outputs."""
    with torch.random.fork_rng():
        torch.manual_seed(index)
        return CompactNet(num_classes=3, widths=(8, 8, 16), stem_width=8).to(memory_format=torch.channels_last)


def make_small(
    kind: type[RobustMethod], data: TrainingData, *, seed: int = 0, at: Runtime | None = None, **changes: Any
) -> RobustMethod:
    """A method with small settings."""
    at = at or runtime()
    settings = small_settings(kind, **changes)
    return kind(
        data=data, make_net=lambda index: make_net(index).to(at.device), settings=settings, runtime=at, seed=seed
    )


def small_settings(kind: type[RobustMethod], **changes: Any) -> Any:
    """Settings as ``quick`` plans them, made small; changes to those that it does not have mean nothing."""
    facts = Facts(num_classes=3, passes=60, batch=16, is_pretrained=False)
    settings, _ = kind.plan("quick", facts)
    known = {field.name for field in dataclasses.fields(settings)}
    wanted = {key: value for key, value in (SMALL | changes).items() if key in known}
    return dataclasses.replace(settings, **wanted)


def run(method: Any, path: Path | None = None) -> list[dict[str, float]]:
    """Train to the end, with a checkpoint after every step where there is a path."""
    checkpoint = Checkpoint(path, every_s=0.0)
    return fit(method, title="toy", num_epochs=method.num_epochs, checkpoint=checkpoint, reporter=Silent())


class Killed(Exception):
    """Stands for a power cut."""


class KilledAt:
    """A task that dies before its n-th step."""

    def __init__(self, inner: RobustMethod, at: int) -> None:
        self.inner, self.at, self.num = inner, at, 0
        self.num_epochs = inner.num_epochs

    def step(self, epoch: int, step: int) -> Mapping[str, Tensor]:
        """The inner task's step, or its death."""
        if self.num == self.at:
            raise Killed
        self.num += 1
        return self.inner.step(epoch, step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether every tensor is equal bit for bit."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
