"""Gradients of kernels column by column against a slow convolution's, and which maps are computed so."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisyclean.engine import column_by_column as module
from noisyclean.engine.column_by_column import (
    LEAST_CHANNELS,
    LEAST_IMAGES,
    WIDEST,
    ColumnByColumnConv2d,
    convolve,
    kernel_gradient,
)
from tests.oracle.convolution import draw, slowly_convolved

ROUNDING = 2**-7
"""Half of bfloat16's last digit, twice: products are rounded before they are summed."""


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_the_gradient_is_that_of_a_slow_loop(num: int, channels: int, height: int, width: int, num_out: int) -> None:
    x_BIHW, weight_JI33 = draw(num, channels, height, width), draw(num_out, channels, 3, 3, seed=1).requires_grad_()
    dy_BJHW = draw(num, num_out, height, width, seed=2)
    slowly_convolved(x_BIHW, weight_JI33).backward(dy_BJHW)
    torch.testing.assert_close(kernel_gradient(x_BIHW, dy_BJHW), weight_JI33.grad)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4)])
def test_its_gradients_are_those_of_small_differences(shape: tuple[int, int]) -> None:
    x_BIHW, weight_JI33 = draw(3, 2, *shape).requires_grad_(), draw(2, 2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(convolve, (x_BIHW, weight_JI33))


def test_float32_kernels_get_a_gradient_that_bfloat16_could_not_hold() -> None:
    x_BIHW = torch.tensor([1, 2**-9, 2**-9], dtype=torch.bfloat16).expand(LEAST_IMAGES, 1, 3, 3)
    weight_JI33 = torch.zeros(1, 1, 3, 3, requires_grad=True)
    convolve(x_BIHW, weight_JI33).backward(torch.ones(LEAST_IMAGES, 1, 3, 3, dtype=torch.bfloat16))
    whole = LEAST_IMAGES * 3 * (1 + 2**-9 + 2**-9)
    assert weight_JI33.grad is not None
    assert float(weight_JI33.grad[0, 0, 1, 1]) == whole != float(torch.tensor(whole).bfloat16())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("is_cast", [False, True])
def test_bfloat16_is_the_ordinary_convolution_up_to_rounding(layout: torch.memory_format, is_cast: bool) -> None:
    dtype = torch.float32 if is_cast else torch.bfloat16
    ordinary = nn.Conv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3, padding=1, bias=False).to(dtype).to(memory_format=layout)
    changed = copy.deepcopy(ordinary)
    changed.__class__ = ColumnByColumnConv2d
    given_BIHW = draw(LEAST_IMAGES, LEAST_CHANNELS, 3, 2, dtype=torch.bfloat16).to(memory_format=layout)
    answers = []
    for convolution in (ordinary, changed):
        x_BIHW = given_BIHW.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_cast):
            y_BJHW = convolution(x_BIHW)
        y_BJHW.backward(draw(*y_BJHW.shape, seed=2, dtype=torch.bfloat16))
        answers.append([y_BJHW.detach(), x_BIHW.grad, convolution.weight.grad])
    for wanted, got in zip(*answers, strict=True):
        assert got.dtype == wanted.dtype
        assert float((got.float() - wanted.float()).norm()) <= ROUNDING * float(wanted.float().norm())


@pytest.mark.parametrize(
    ("images", "num_in", "num_out", "side", "dtype", "is_changed"),
    [
        (LEAST_IMAGES, LEAST_CHANNELS, LEAST_CHANNELS, WIDEST, torch.bfloat16, True),
        (LEAST_IMAGES - 1, LEAST_CHANNELS, LEAST_CHANNELS, WIDEST, torch.bfloat16, False),
        (LEAST_IMAGES, LEAST_CHANNELS - 1, LEAST_CHANNELS, WIDEST, torch.bfloat16, False),
        (LEAST_IMAGES, LEAST_CHANNELS, LEAST_CHANNELS - 1, WIDEST, torch.bfloat16, False),
        (LEAST_IMAGES, LEAST_CHANNELS, LEAST_CHANNELS, WIDEST + 1, torch.bfloat16, False),
        (LEAST_IMAGES, LEAST_CHANNELS, LEAST_CHANNELS, WIDEST, torch.float32, False),
    ],
)
def test_it_is_taken_where_it_repays_itself(
    images: int,
    num_in: int,
    num_out: int,
    side: int,
    dtype: torch.dtype,
    is_changed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = _watched(monkeypatch)
    convolution = ColumnByColumnConv2d(num_in, num_out, 3, padding=1, bias=False).to(dtype)
    assert convolution(draw(images, num_in, side, side, dtype=dtype)).shape == (images, num_out, side, side)
    assert bool(seen) == is_changed


def test_a_bias_or_no_gradient_is_left_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _watched(monkeypatch)
    x_BIHW = draw(LEAST_IMAGES, LEAST_CHANNELS, 2, 2, dtype=torch.bfloat16)
    ColumnByColumnConv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3, padding=1).to(torch.bfloat16)(x_BIHW)
    fixed = ColumnByColumnConv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3, padding=1, bias=False).to(torch.bfloat16)
    fixed.requires_grad_(False)(x_BIHW)
    assert not seen


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes of the maps that will be convolved in this way."""
    seen: list[torch.Size] = []

    def watched(x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
        seen.append(x_BIHW.shape)
        return convolve(x_BIHW, weight_JI33)

    monkeypatch.setattr(module, "convolve", watched)
    return seen
