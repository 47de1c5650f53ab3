"""Small maps pixel by pixel against a slow convolution, and which maps are computed so."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisyclean.engine import pixel_by_pixel as module
from noisyclean.engine.pixel_by_pixel import LEAST_CHANNELS, LEAST_IMAGES, PixelByPixelConv2d, convolve
from tests.oracle.convolution import draw, slowly_convolved


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_convolves_as_a_slow_loop(num: int, channels: int, height: int, width: int, num_out: int) -> None:
    x_BIHW, weight_JI33 = draw(num, channels, height, width), draw(num_out, channels, 3, 3, seed=1)
    torch.testing.assert_close(convolve(x_BIHW, weight_JI33), slowly_convolved(x_BIHW, weight_JI33))


@pytest.mark.parametrize("sides", [(1, 1), (1, 4), (3, 2), (3, 3)])
def test_its_gradients_are_those_of_small_differences(sides: tuple[int, int]) -> None:
    x_BIHW, weight_JI33 = draw(2, 3, *sides).requires_grad_(), draw(2, 3, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(convolve, (x_BIHW, weight_JI33))


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_float32_is_the_ordinary_convolution_up_to_rounding(has_bias: bool, layout: torch.memory_format) -> None:
    ordinary = nn.Conv2d(LEAST_CHANNELS, 16, 3, padding=1, bias=has_bias).to(memory_format=layout)
    changed = copy.deepcopy(ordinary)
    changed.__class__ = PixelByPixelConv2d
    given_BIHW = draw(LEAST_IMAGES, LEAST_CHANNELS, 3, 4, dtype=torch.float32).to(memory_format=layout)
    answers = []
    for convolution in (ordinary, changed):
        x_BIHW = given_BIHW.clone().requires_grad_()
        y_BJHW = convolution(x_BIHW)
        y_BJHW.backward(draw(*y_BJHW.shape, seed=2, dtype=torch.float32))
        answers.append([y_BJHW.detach(), x_BIHW.grad, *(part.grad for part in convolution.parameters())])
    for wanted, got in zip(*answers, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
        assert got.stride() == wanted.stride() or layout == torch.contiguous_format


@pytest.mark.parametrize(
    ("images", "channels", "side", "dtype", "is_changed"),
    [
        (LEAST_IMAGES, LEAST_CHANNELS, 5, torch.float32, True),
        (LEAST_IMAGES, LEAST_CHANNELS, 6, torch.float32, False),
        (LEAST_IMAGES - 1, LEAST_CHANNELS, 3, torch.float32, False),
        (LEAST_IMAGES, LEAST_CHANNELS - 1, 3, torch.float32, False),
        (LEAST_IMAGES, LEAST_CHANNELS, 3, torch.bfloat16, False),
    ],
)
def test_products_are_taken_where_they_repay(
    images: int, channels: int, side: int, dtype: torch.dtype, is_changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Size] = []

    def watched(x_BIHW: Tensor, weight_JI33: Tensor) -> Tensor:
        seen.append(x_BIHW.shape)
        return convolve(x_BIHW, weight_JI33)

    monkeypatch.setattr(module, "convolve", watched)
    convolution = PixelByPixelConv2d(channels, 4, 3, padding=1).to(dtype)
    assert convolution(draw(images, channels, 2, side, dtype=dtype)).shape == (images, 4, 2, side)
    assert bool(seen) == is_changed
