"""Compiled passes compute what the others do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from noisyclean.base.runtime import Runtime, choose_runtime
from noisyclean.config import ProbeConfig, SimCLRConfig
from noisyclean.data.augment import strong, weak
from noisyclean.data.batches import load_pixels
from noisyclean.engine.loop import Task
from noisyclean.nn.compact import CompactNet
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.method import methods
from noisyclean.robust.probe import Probe
from noisyclean.robust.toy import make_data, make_small

NUM = 16
FIRST_STEPS = 4
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="compiling takes a C++ compiler"),
]


def _small_net(num_classes: int) -> CompactNet:
    torch.manual_seed(0)
    return CompactNet(num_classes=num_classes, widths=(8, 8, 16), stem_width=8).to(memory_format=torch.channels_last)


def _simclr(runtime: Runtime) -> Task:
    images = np.random.default_rng(0).integers(0, 256, (NUM, 16, 16, 3), dtype=np.uint8)
    return SimCLR(
        pixels=load_pixels(images, runtime.device),
        label_N=torch.arange(NUM) % 2,
        net=_small_net(0),
        augmentation=strong(),
        config=SimCLRConfig(epochs=1, batch=4),
        runtime=runtime,
        seed=0,
    )


def _probe(runtime: Runtime) -> Task:
    images = np.random.default_rng(0).integers(0, 256, (NUM, 16, 16, 3), dtype=np.uint8)
    return Probe(
        pixels=load_pixels(images, runtime.device),
        label_N=torch.arange(NUM) % 2,
        weight_N=torch.ones(NUM),
        net=_small_net(2),
        net_index=0,
        augmentation=weak(),
        config=ProbeConfig(epochs=1, batch=4),
        runtime=runtime,
        seed=0,
    )


def _method(name: str) -> Callable[[Runtime], Task]:
    def make(runtime: Runtime) -> Task:
        method = make_small(methods.get(name), make_data())
        method.runtime = runtime  # type: ignore[attr-defined]
        return method

    return make


@pytest.mark.parametrize("make", [_simclr, _probe, *map(_method, ("cross-entropy", "dividemix", "moit"))])
def test_compiled_passes_are_the_same(make: Callable[[Runtime], Task]) -> None:
    plain = choose_runtime("cpu", threads=1, dtype="float32")
    told: list[list[dict[str, float]]] = []
    for runtime in (plain, replace(plain, compiles=True)):
        task = make(runtime)
        told.append([])
        for epoch in range(getattr(task, "num_epochs", 1)):
            task.begin_epoch(epoch)
            for step in range(task.num_steps(epoch)):
                figures = task.step(epoch, step)
                told[-1].append({name: float(value.detach()) for name, value in figures.items()})
    for step, (plainly, compiled) in enumerate(zip(*told, strict=True)):
        # Rounding differs, and grows from step to step.
        assert compiled == pytest.approx(plainly, rel=1e-3 if step < FIRST_STEPS else 0.05), step


def test_compiled_passes_are_compiled() -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    task = _simclr(replace(choose_runtime("cpu", threads=1, dtype="float32"), compiles=True))
    task.step(0, 0)
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 0
