"""Training steps never wait for the accelerator: a wait is an error while CUDA watches for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisyclean.base.runtime import choose_runtime
from noisyclean.config import ProbeConfig, SimCLRConfig
from noisyclean.data.augment import strong, weak
from noisyclean.data.batches import load_pixels
from noisyclean.engine.loop import Task
from noisyclean.nn import create_backbone
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.probe import Probe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: hidden waits cannot be seen"),
]
NUM, BATCH = 256, 64


def make(name: str) -> Task:
    runtime = choose_runtime("cuda")
    images = np.random.default_rng(0).integers(0, 256, (NUM, 32, 32, 3), dtype=np.uint8)
    pixels = load_pixels(images, runtime.device)
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


@pytest.mark.parametrize("name", ["simclr", "probe"])
def test_a_step_does_not_wait_for_the_device(name: str) -> None:
    task = make(name)
    task.step(0, 0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        figures = [task.step(0, step) for step in range(1, 4)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.isfinite(figure["loss"]) for figure in figures)
