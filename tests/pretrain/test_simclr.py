"""Pre-training watches for collapse, and not before there is anything to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from noisyclean.base.runtime import choose_runtime
from noisyclean.config import SimCLRConfig
from noisyclean.data.augment import strong
from noisyclean.data.batches import load_pixels
from noisyclean.errors import NoisycleanError
from noisyclean.nn.backbone import create_backbone
from noisyclean.nn.compact import CompactNet
from noisyclean.pretrain.simclr import SETTLED_STEPS, SimCLR

NUM, BATCH = 24, 4
STEPS = NUM // BATCH


def make(epochs: int, net: nn.Module | None = None, **settings: float) -> SimCLR:
    runtime = choose_runtime("cpu", threads=1, dtype="float32")
    images = np.random.default_rng(0).integers(0, 256, (NUM, 16, 16, 3), dtype=np.uint8)
    torch.manual_seed(0)
    return SimCLR(
        pixels=load_pixels(images, runtime.device),
        label_N=torch.arange(NUM) % 3,
        net=(net or CompactNet(num_classes=0, widths=(8, 8, 16), stem_width=8)).to(memory_format=torch.channels_last),
        augmentation=strong(),
        config=SimCLRConfig(epochs=epochs, batch=BATCH, **settings),  # type: ignore[arg-type]
        runtime=runtime,
        seed=0,
    )


def zero(task: SimCLR) -> None:
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.zero_()


def test_a_net_that_embeds_all_images_at_one_point_is_noticed() -> None:
    epoch = -(-SETTLED_STEPS // STEPS) - 1
    task = make(epochs=epoch + 1)
    zero(task)
    with pytest.raises(NoisycleanError, match="collapsed") as raised:
        task.end_epoch(epoch)
    assert "simclr.lr" in raised.value.hint


def test_a_short_training_of_few_images_is_no_collapse() -> None:
    task = make(epochs=1)
    for step in range(task.num_steps(0)):
        assert torch.isfinite(task.step(0, step)["loss"])
    assert 0 <= task.end_epoch(0)["neighbours agree"] <= 1


def test_the_head_fits_a_net_that_widens_its_features_before_the_classifier() -> None:
    task = make(epochs=1, net=create_backbone("mobilenetv3_small_050", num_classes=0, seed=0))
    assert torch.isfinite(task.step(0, 0)["loss"])


def test_views_are_as_many_and_as_large_as_said_and_cost_accordingly() -> None:
    seen: list[tuple[int, ...]] = []
    for side, num_views, wanted in ((1.0, 2, 16), (0.75, 3, 12)):
        task = make(1, view_side=side, num_views=num_views)
        stem = task.net.get_submodule("stem")
        stem.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
        task.step(0, 0)
        assert seen[-1] == (num_views * BATCH, 3, wanted, wanted)
    assert SimCLRConfig(view_side=0.5).passes_an_epoch == SimCLRConfig().passes_an_epoch / 4
    assert SimCLRConfig(num_views=2).passes_an_epoch == SimCLRConfig(num_views=4).passes_an_epoch / 2
