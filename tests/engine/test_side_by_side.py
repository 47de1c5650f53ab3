"""Small maps side by side against a slow convolution, and which convolutions lay them so."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisyclean.base.runtime import choose_runtime
from noisyclean.engine import side_by_side as module
from noisyclean.engine.descent import Descent
from noisyclean.engine.side_by_side import SideBySideConv2d, apart, fill_tiles, side_by_side
from noisyclean.nn import create_backbone
from noisyclean.nn.ema import WeightAverage

BF16 = replace(choose_runtime("cpu"), dtype=torch.bfloat16)
ROUNDING = 2**-7
"""Half of bfloat16's last digit, twice: the sums are rounded in another order."""


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def slowly_convolved(x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
    """Every output pixel by itself, zeros around the map."""
    num, _, height, width = x_BIHW.shape
    y_BJHW = torch.zeros(num, len(weight_JI33), height, width, dtype=x_BIHW.dtype)
    for row in range(height):
        for column in range(width):
            for down in range(3):
                for right in range(3):
                    i, j = row + down - 1, column + right - 1
                    if 0 <= i < height and 0 <= j < width:
                        y_BJHW[:, :, row, column] += x_BIHW[:, :, i, j] @ weight_JI33[:, :, down, right].T
    return y_BJHW


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_convolves_as_each_map_alone(rows: int, num: int, height: int, width: int, channels: int) -> None:
    x_BIHW = draw(rows * num, channels, height, width)
    weight = draw(2, channels, 3, 3, seed=1)
    wide = nn.functional.conv2d(side_by_side(x_BIHW, num), weight, padding=1)
    assert wide.shape == (rows, 2, height, num * (width + 1))
    torch.testing.assert_close(apart(wide, num), slowly_convolved(x_BIHW, weight))


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_apart_takes_back_what_was_laid(rows: int, num: int, height: int, width: int) -> None:
    x_BIHW = draw(rows * num, 2, height, width)
    again_BIHW = apart(side_by_side(x_BIHW, num), num)
    assert torch.equal(again_BIHW, x_BIHW)
    assert again_BIHW.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("batch", "side"), [(16, 3), (12, 8), (6, 1)])
def test_bfloat16_is_the_ordinary_convolution_up_to_rounding(batch: int, side: int) -> None:
    ordinary = nn.Conv2d(32, 16, 3, padding=1).to(torch.bfloat16)
    laid = copy.deepcopy(ordinary)
    laid.__class__ = SideBySideConv2d
    given_BIHW = draw(batch, 32, side, side, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    answers = []
    for convolution in (ordinary, laid):
        x_BIHW = given_BIHW.clone().requires_grad_()
        y_BJHW = convolution(x_BIHW)
        y_BJHW.backward(draw(*y_BJHW.shape, seed=2, dtype=torch.bfloat16))
        answers.append([y_BJHW.detach(), *(part.grad for part in (x_BIHW, *convolution.parameters()))])
    for wanted, got in zip(*answers, strict=True):
        assert float((got.float() - wanted.float()).norm()) <= ROUNDING * float(wanted.float().norm())


@pytest.mark.parametrize(
    ("batch", "width", "dtype", "trains", "is_laid"),
    [
        (16, 8, torch.bfloat16, True, True),
        (16, 4, torch.bfloat16, False, True),
        (6, 3, torch.bfloat16, True, True),
        (16, 9, torch.bfloat16, True, False),
        (16, 5, torch.bfloat16, False, False),
        (7, 3, torch.bfloat16, True, False),
        (16, 3, torch.float32, True, False),
    ],
)
def test_lays_maps_where_it_repays(
    batch: int, width: int, dtype: torch.dtype, trains: bool, is_laid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []

    def watched(x_BIHW: Tensor, num: int) -> Tensor:
        rows.append(num)
        return side_by_side(x_BIHW, num)

    monkeypatch.setattr(module, "side_by_side", watched)
    convolution = SideBySideConv2d(4, 4, 3, padding=1).to(dtype)
    with torch.set_grad_enabled(trains):
        y_BJHW = convolution(draw(batch, 4, 2, width, dtype=dtype))
    assert y_BJHW.shape == (batch, 4, 2, width)
    assert bool(rows) == is_laid


def test_only_convolutions_that_keep_the_side_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_has_tiles", lambda: True)
    changed = nn.Conv2d(4, 4, 3, padding=1)
    kept = [
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ]
    fill_tiles(nn.ModuleList([changed, *kept]), BF16)
    assert type(changed) is SideBySideConv2d
    assert {type(convolution) for convolution in kept} == {nn.Conv2d}


@pytest.mark.parametrize(("has_tiles", "dtype"), [(False, torch.bfloat16), (True, torch.float32)])
def test_a_net_stays_as_it_is_elsewhere(has_tiles: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_has_tiles", lambda: has_tiles)
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    fill_tiles(net, replace(BF16, dtype=dtype))
    assert type(net[0]) is nn.Conv2d


def test_what_is_trained_and_its_average_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_has_tiles", lambda: True)
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    average = WeightAverage(net, decay=0.9)
    Descent(net, BF16, optimizer="sgd", weight_decay=0.0, average=average)
    assert [type(trained.get_submodule("0")) for trained in (net, average.model)] == [SideBySideConv2d] * 2


def test_a_net_answers_the_same_under_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_has_tiles", lambda: True)
    ordinary = create_backbone("noisyclean_compact", num_classes=3, seed=0)
    laid = copy.deepcopy(ordinary)
    fill_tiles(laid, BF16)
    assert sum(type(part) is SideBySideConv2d for part in laid.modules()) == 6
    assert ordinary.state_dict().keys() == laid.state_dict().keys()
    x_BIHW = draw(8, 3, 24, 24, dtype=torch.float32)
    with BF16.autocast():
        wanted, got = ordinary(x_BIHW), laid(x_BIHW)
    assert float((got - wanted).detach().norm()) <= 4 * ROUNDING * float(wanted.detach().norm())
