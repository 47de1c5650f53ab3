from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from noisyclean.ops.mix import linear_ramp, sharpen, sigmoid_ramp
from noisyclean.ops.mixmatch import negative_entropy, prior_penalty, refined_targets, semi_supervised_loss
from tests.oracle import loops

distributions = st.lists(st.floats(0.01, 1), min_size=2, max_size=6).map(lambda p: [value / sum(p) for value in p])


@settings(max_examples=50, deadline=None)
@given(p=distributions, temperature=st.floats(0.1, 3))
def test_sharpen_equals_the_formula(p: list[float], temperature: float) -> None:
    got = sharpen(torch.tensor([p]), temperature=temperature)[0]
    assert got.tolist() == pytest.approx(loops.sharpen(p, temperature), abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(p=distributions, temperature=st.floats(0.05, 0.99))
def test_sharpening_keeps_the_order_and_raises_the_largest(p: list[float], temperature: float) -> None:
    before = torch.tensor([p])
    after = sharpen(before, temperature=temperature)
    assert float(after.sum()) == pytest.approx(1, abs=1e-5)
    assert float(after.max()) >= float(before.max()) - 1e-5
    assert float(after[0, before[0].argmax()]) == pytest.approx(float(after.max()), abs=1e-6)


def test_sharpen_at_one_changes_nothing_and_at_zero_takes_all() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3]])
    assert torch.allclose(sharpen(p, temperature=1.0), p, atol=1e-6)
    assert torch.allclose(sharpen(p, temperature=1e-3), torch.tensor([[0.0, 1.0, 0.0]]), atol=1e-6)


def test_sharpen_keeps_an_underflowed_zero() -> None:
    assert torch.equal(sharpen(torch.tensor([[0.0, 1.0]]), temperature=0.5), torch.tensor([[0.0, 1.0]]))


def test_ramps_start_at_zero_end_at_one_and_never_fall() -> None:
    steps = [i / 10 for i in range(-5, 60)]
    for ramp in (linear_ramp, sigmoid_ramp):
        values = [ramp(done, 4.0) for done in steps]
        assert values == sorted(values)
        assert values[-1] == 1
        assert ramp(0, 0) == 1
    assert linear_ramp(-1, 4) == 0
    assert linear_ramp(1, 4) == 0.25
    assert sigmoid_ramp(0, 4) == pytest.approx(math.exp(-5))
    assert sigmoid_ramp(2, 4) == pytest.approx(math.exp(-1.25))


def test_targets_are_the_label_where_it_is_clean_and_the_guess_where_it_is_not() -> None:
    given_label = torch.eye(3)[[0, 0, 0]]
    guess = torch.tensor([[0.2, 0.5, 0.3]]).repeat(3, 1)
    got = refined_targets(given_label, guess, torch.tensor([1.0, 0.0, 0.5]), temperature=0.5)
    assert torch.allclose(got[0], torch.tensor([1.0, 0.0, 0.0]))
    assert got[1].tolist() == pytest.approx(loops.sharpen([0.2, 0.5, 0.3], 0.5), abs=1e-6)
    assert got[2].tolist() == pytest.approx(loops.sharpen([0.6, 0.25, 0.15], 0.5), abs=1e-6)


@pytest.mark.parametrize("num_labelled", [1, 4, 7])
def test_loss_equals_the_loop(num_labelled: int) -> None:
    draw = torch.Generator().manual_seed(0)
    logits, target = torch.randn(7, 5, generator=draw), torch.rand(7, 5, generator=draw).softmax(dim=1)
    got = semi_supervised_loss(logits, target, num_labelled=num_labelled, lambda_per_class=25 / 5)
    assert float(got) == pytest.approx(
        loops.semi_supervised(logits.tolist(), target.tolist(), num_labelled, 25), rel=1e-5
    )


def test_a_perfect_guess_costs_nothing() -> None:
    logits = torch.tensor([[0.0, 0.0], [30.0, -30.0]])
    target = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    got = semi_supervised_loss(logits, target, num_labelled=1, lambda_per_class=100.0)
    assert float(got) == pytest.approx(math.log(2))


def test_penalty_equals_the_loop_and_is_zero_at_the_prior() -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert float(prior_penalty(logits, prior)) == pytest.approx(
        loops.prior_penalty(logits.tolist(), prior.tolist()), rel=1e-5
    )
    assert float(prior_penalty(prior.log()[None].repeat(5, 1), prior)) == pytest.approx(0, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_penalty_is_never_negative(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits, prior = 5 * torch.randn(6, 4, generator=draw), torch.rand(4, generator=draw).softmax(dim=0)
    assert float(prior_penalty(logits, prior)) > -1e-5


def test_penalty_pushes_towards_a_class_that_is_never_predicted() -> None:
    logits = torch.tensor([[4.0, 0.0], [4.0, 0.0]], requires_grad=True)
    prior_penalty(logits, torch.tensor([0.5, 0.5])).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 1] < 0).all()


def test_negative_entropy_is_lowest_when_uniform_and_zero_when_certain() -> None:
    assert float(negative_entropy(torch.zeros(3, 8))) == pytest.approx(-math.log(8))
    assert float(negative_entropy(torch.tensor([[500.0, 0.0]]))) == pytest.approx(0, abs=1e-6)


def test_nothing_is_nan_in_half_precision() -> None:
    logits = torch.tensor([[3e4, -3e4], [-3e4, 3e4]], dtype=torch.bfloat16)
    target = torch.eye(2)
    assert torch.isfinite(semi_supervised_loss(logits, target, num_labelled=1, lambda_per_class=2.5))
    assert torch.isfinite(prior_penalty(logits, torch.tensor([0.5, 0.5])))
    assert torch.isfinite(negative_entropy(logits))


def test_gradients_are_right() -> None:
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    target = torch.rand(4, 3, dtype=torch.float64).softmax(dim=1)
    assert gradcheck(
        lambda x: semi_supervised_loss(x, target, num_labelled=2, lambda_per_class=2.5), (logits,), atol=1e-2, eps=1e-3
    )
