"""Small maps side by side against a slow convolution, and which maps are laid so."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisyclean.engine import side_by_side as module
from noisyclean.engine.side_by_side import SideBySideConv2d, apart, side_by_side
from tests.oracle.convolution import draw, slowly_convolved

ROUNDING = 2**-7
"""Half of bfloat16's last digit, twice: the sums are rounded in another order."""


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
