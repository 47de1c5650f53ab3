"""Training steps never wait for the accelerator: a wait is an error while CUDA watches for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from noisyclean.base.runtime import Runtime, choose_runtime
from noisyclean.config import ProbeConfig, SimCLRConfig
from noisyclean.data.augment import strong, weak
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.engine.loop import Task
from noisyclean.nn import create_backbone
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.method import RobustMethod, methods
from noisyclean.robust.probe import Probe
from noisyclean.robust.toy import make_data, make_small

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: hidden waits cannot be seen"),
]
NUM, BATCH = 256, 64


def held(pixels: Pixels, where: str) -> Pixels:
    """The same images where they are trained on, or as they are where they do not fit there."""
    return replace(pixels, images_LHWI=pixels.images_LHWI.to(where))


def make(name: str, where: str, runtime: Runtime) -> SimCLR | Probe:
    """The pre-training or the probe on a few images."""
    images = np.random.default_rng(0).integers(0, 256, (NUM, 32, 32, 3), dtype=np.uint8)
    pixels = held(load_pixels(images, runtime.device), where)
    label_N = torch.arange(NUM, device=runtime.device) % 4
    net = create_backbone("noisyclean_resnet18", num_classes=0 if name == "simclr" else 4, seed=0).to(runtime.device)
    if name == "simclr":
        return SimCLR(
            pixels=pixels,
            label_N=label_N,
            net=net,
            augmentation=strong(),
            config=SimCLRConfig(epochs=2, batch=BATCH),
            runtime=runtime,
            seed=0,
        )
    config = ProbeConfig(epochs=2, batch=BATCH)
    return Probe(
        pixels=pixels,
        label_N=label_N,
        weight_N=torch.ones(NUM, device=runtime.device),
        net=net,
        net_index=0,
        augmentation=weak(),
        config=config,
        runtime=runtime,
        seed=0,
    )


def make_method(name: str, where: str, runtime: Runtime, **changes: Any) -> RobustMethod:
    """A method on a few shapes, on the accelerator."""
    data = make_data()
    pixels = held(load_pixels(data.pixels.images_LHWI.numpy(), runtime.device), where)
    tensors: dict[str, Any] = {
        key: value.to(runtime.device) for key, value in vars(data).items() if isinstance(value, torch.Tensor)
    }
    return make_small(methods.get(name), replace(data, pixels=pixels, **tensors), at=runtime, **changes)


def watched_steps(task: Task, epoch: int) -> list[Mapping[str, torch.Tensor]]:
    """An epoch's steps; from the second on a wait is an error. With the first the epoch's order comes over."""
    first = task.step(epoch, 0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        return [first, *(task.step(epoch, step) for step in range(1, task.num_steps(epoch)))]
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("where", ["cuda", "cpu"])
@pytest.mark.parametrize("name", ["simclr", "probe"])
def test_a_step_does_not_wait_for_the_device(name: str, where: str) -> None:
    figures = watched_steps(make(name, where, choose_runtime("cuda")), 0)
    assert all(torch.isfinite(figure["loss"]) for figure in figures)


@pytest.mark.parametrize("where", ["cuda", "cpu"])
@pytest.mark.parametrize("name", methods.names())
def test_a_step_of_a_method_does_not_wait_either(name: str, where: str) -> None:
    method = make_method(name, where, choose_runtime("cuda"))
    for epoch in range(method.num_epochs):
        method.begin_epoch(epoch)
        assert watched_steps(method, epoch)
        method.end_epoch(epoch)


def test_images_that_do_not_fit_are_the_same_images() -> None:
    device = choose_runtime("cuda").device
    images = np.random.default_rng(0).integers(0, 256, (NUM, 32, 32, 3), dtype=np.uint8)
    here = load_pixels(images, device)
    away = held(here, "cpu")
    for rows in torch.randperm(NUM).split(BATCH):
        row_B = away.beside(rows)
        assert torch.equal(away.take(row_B), here.take(here.beside(rows)))
        assert torch.equal(away.on_device(row_B), rows.to(device))
