"""Convolutions by Winograd's algorithm against a slow one, and which maps are computed so."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisyclean.engine import winograd as module
from noisyclean.engine.winograd import LEAST_CHANNELS, LEAST_IMAGES, WinogradConv2d, convolve
from noisyclean.ops.minimal_filtering import SIDES
from tests.oracle.convolution import draw, slowly_convolved

MANY = 128
"""Enough channels for any CPU."""


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image for each thread at a time."""
    monkeypatch.setattr(module, "PART_BYTES", 1)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.sampled_from(SIDES),
)
@settings(max_examples=40, deadline=None)
def test_convolves_as_a_slow_loop(num: int, channels: int, height: int, width: int, num_out: int, side: int) -> None:
    x_BIHW, weight_JI33 = draw(num, channels, height, width), draw(num_out, channels, 3, 3, seed=1)
    torch.testing.assert_close(convolve(x_BIHW, weight_JI33, side), slowly_convolved(x_BIHW, weight_JI33))


@pytest.mark.usefixtures("in_small_parts", "threads")
@pytest.mark.parametrize("num", [1, 2, 5])
def test_parts_and_threads_change_nothing(num: int) -> None:
    x_BIHW, weight_JI33 = draw(num, 2, 5, 8), draw(3, 2, 3, 3, seed=1)
    torch.testing.assert_close(convolve(x_BIHW, weight_JI33, 4), slowly_convolved(x_BIHW, weight_JI33))


@pytest.mark.usefixtures("in_small_parts", "threads")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 8)])
def test_its_gradients_are_those_of_small_differences(shape: tuple[int, int], side: int) -> None:
    x_BIHW, weight_JI33 = draw(3, 2, *shape).requires_grad_(), draw(2, 2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, weight: convolve(x, weight, side), (x_BIHW, weight_JI33))


@pytest.mark.parametrize("side", [5, 8])
def test_what_follows_may_write_over_the_outcome(side: int) -> None:
    x_BIHW, weight_JI33 = draw(2, 2, side, side).requires_grad_(), draw(2, 2, 3, 3, seed=1).requires_grad_()

    def convolve_and_add(x: Tensor, weight: Tensor) -> Tensor:
        y_BJHW = convolve(x, weight, 4)
        y_BJHW += x
        return y_BJHW.relu_()

    assert torch.autograd.gradcheck(convolve_and_add, (x_BIHW, weight_JI33))


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [3, 4, 5, 12])
def test_float32_is_the_ordinary_convolution_up_to_rounding(
    side: int, has_bias: bool, layout: torch.memory_format
) -> None:
    ordinary = nn.Conv2d(LEAST_CHANNELS, MANY, 3, padding=1, bias=has_bias).to(memory_format=layout)
    changed = copy.deepcopy(ordinary)
    changed.__class__ = WinogradConv2d
    given_BIHW = draw(LEAST_IMAGES, LEAST_CHANNELS, side, side, dtype=torch.float32).to(memory_format=layout)
    answers = []
    for convolution in (ordinary, changed):
        x_BIHW = given_BIHW.clone().requires_grad_()
        y_BJHW = convolution(x_BIHW)
        y_BJHW.backward(draw(*y_BJHW.shape, seed=2, dtype=torch.float32))
        answers.append([y_BJHW.detach(), x_BIHW.grad, *(part.grad for part in convolution.parameters())])
    for wanted, got in zip(*answers, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=3e-4 * float(wanted.std()))
        assert got.stride() == wanted.stride() or layout == torch.contiguous_format


@pytest.mark.parametrize(
    ("can", "images", "num_in", "num_out", "dtype", "is_changed"),
    [
        ("AVX512", LEAST_IMAGES, LEAST_CHANNELS, MANY, torch.float32, True),
        ("AVX512", LEAST_IMAGES, MANY, LEAST_CHANNELS, torch.float32, True),
        ("AVX512", LEAST_IMAGES - 1, LEAST_CHANNELS, MANY, torch.float32, False),
        ("AVX512", LEAST_IMAGES, LEAST_CHANNELS, MANY - 1, torch.float32, False),
        ("AVX512", LEAST_IMAGES, LEAST_CHANNELS - 1, MANY, torch.float32, False),
        ("AVX512", LEAST_IMAGES, MANY, MANY, torch.bfloat16, False),
        ("AVX2", LEAST_IMAGES, LEAST_CHANNELS, LEAST_CHANNELS, torch.float32, True),
        ("AVX2", LEAST_IMAGES, LEAST_CHANNELS - 1, LEAST_CHANNELS, torch.float32, False),
        ("DEFAULT", LEAST_IMAGES, MANY, MANY, torch.float32, False),
    ],
)
def test_it_is_taken_where_it_repays_itself(
    can: str,
    images: int,
    num_in: int,
    num_out: int,
    dtype: torch.dtype,
    is_changed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: can)
    seen: list[torch.Size] = []

    def watched(x_BIHW: Tensor, weight_JI33: Tensor, side: int) -> Tensor:
        seen.append(x_BIHW.shape)
        return convolve(x_BIHW, weight_JI33, side)

    monkeypatch.setattr(module, "convolve", watched)
    convolution = WinogradConv2d(num_in, num_out, 3, padding=1).to(dtype)
    assert convolution(draw(images, num_in, 8, 8, dtype=dtype)).shape == (images, num_out, 8, 8)
    assert bool(seen) == is_changed
