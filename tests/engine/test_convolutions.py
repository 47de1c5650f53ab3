"""Which convolutions compute in a way of their own, on which machine."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from noisyclean.base.runtime import Runtime, choose_runtime
from noisyclean.engine import convolutions as module
from noisyclean.engine.column_by_column import ColumnByColumnConv2d
from noisyclean.engine.convolutions import suit_convolutions
from noisyclean.engine.descent import Descent
from noisyclean.engine.side_by_side import SideBySideConv2d
from noisyclean.engine.winograd import WinogradConv2d
from noisyclean.nn import create_backbone
from noisyclean.nn.ema import WeightAverage
from tests.oracle.convolution import draw

BF16 = replace(choose_runtime("cpu"), dtype=torch.bfloat16)
F32 = replace(BF16, dtype=torch.float32)


@pytest.mark.parametrize(
    ("runtime", "has_tiles", "wanted"),
    [
        (BF16, True, SideBySideConv2d),
        (BF16, False, ColumnByColumnConv2d),
        (F32, False, WinogradConv2d),
        (F32, True, WinogradConv2d),
        (replace(BF16, compiles=True), True, SideBySideConv2d),
        (replace(BF16, compiles=True), False, nn.Conv2d),
        (replace(F32, compiles=True), False, nn.Conv2d),
        (replace(F32, suits_convolutions=False), False, nn.Conv2d),
        (replace(BF16, suits_convolutions=False), True, nn.Conv2d),
        (replace(F32, device=torch.device("cuda")), False, nn.Conv2d),
    ],
)
def test_the_machine_decides(
    runtime: Runtime, has_tiles: bool, wanted: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cpu_has_tiles", lambda: has_tiles)
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    suit_convolutions(net, runtime)
    assert type(net[0]) is wanted


def test_only_convolutions_that_keep_the_side_are_changed() -> None:
    changed = nn.Conv2d(4, 4, 3, padding=1)
    kept = [
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ]
    suit_convolutions(nn.ModuleList([changed, *kept]), F32)
    assert type(changed) is WinogradConv2d
    assert {type(convolution) for convolution in kept} == {nn.Conv2d}


def test_what_is_trained_and_its_average_are_changed() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    average = WeightAverage(net, decay=0.9)
    Descent(net, F32, optimizer="sgd", weight_decay=0.0, average=average)
    assert [type(trained.get_submodule("0")) for trained in (net, average.model)] == [WinogradConv2d] * 2


@pytest.mark.parametrize(
    ("runtime", "has_tiles", "way", "rounding"),
    [
        (BF16, True, SideBySideConv2d, 2**-5),
        (BF16, False, ColumnByColumnConv2d, 2**-5),
        (F32, False, WinogradConv2d, 1e-5),
    ],
)
def test_a_net_answers_the_same_under_the_same_names(
    runtime: Runtime, has_tiles: bool, way: type[nn.Module], rounding: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cpu_has_tiles", lambda: has_tiles)
    ordinary = create_backbone("noisyclean_compact", num_classes=3, seed=0)
    changed = copy.deepcopy(ordinary)
    suit_convolutions(changed, runtime)
    assert sum(type(part) is way for part in changed.modules()) == 6
    assert ordinary.state_dict().keys() == changed.state_dict().keys()
    x_BIHW = draw(64, 3, 24, 24, dtype=torch.float32)
    with runtime.autocast():
        wanted, got = ordinary(x_BIHW), changed(x_BIHW)
    assert float((got - wanted).detach().norm()) <= rounding * float(wanted.detach().norm())
