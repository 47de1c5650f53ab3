from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisyclean.ops.elr import CLAMP, elr_penalty, moved_targets
from tests.oracle import loops


def test_penalty_equals_the_loop() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, target = torch.randn(6, 4, generator=draw), torch.rand(6, 4, generator=draw).softmax(dim=1)
    expected = loops.elr_penalty(logits.tolist(), target.tolist(), CLAMP)
    assert float(elr_penalty(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_asked_before_anything_is_remembered() -> None:
    assert float(elr_penalty(torch.randn(3, 4), torch.zeros(3, 4))) == pytest.approx(0, abs=1e-7)


def test_full_agreement_is_finite_and_the_least() -> None:
    target = torch.tensor([[1.0, 0.0]])
    for dtype in (torch.float32, torch.bfloat16):
        certain = elr_penalty(torch.tensor([[300.0, -300.0]], dtype=dtype), target)
        assert float(certain) == pytest.approx(math.log(CLAMP), rel=1e-3)
    assert float(elr_penalty(torch.tensor([[0.0, 0.0]]), target)) == pytest.approx(math.log(0.5))


def test_it_pulls_towards_the_remembered_class_and_not_the_given_one() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    elr_penalty(logits, torch.tensor([[0.0, 0.9, 0.1]])).backward()
    assert logits.grad is not None
    assert logits.grad[0].argmin() == 1


@settings(max_examples=40, deadline=None)
@given(beta=st.floats(0, 0.99), num_steps=st.integers(1, 30))
def test_memory_of_a_constant_belief_is_a_geometric_series(beta: float, num_steps: int) -> None:
    belief, target = torch.tensor([[0.7, 0.3]]), torch.zeros(1, 2)
    for _ in range(num_steps):
        target = moved_targets(target, belief, beta=beta)
    assert target[0].tolist() == pytest.approx([0.7 * (1 - beta**num_steps), 0.3 * (1 - beta**num_steps)], abs=1e-5)


def test_no_gradient_flows_into_the_memory() -> None:
    p = torch.tensor([[0.5, 0.5]], requires_grad=True)
    assert not moved_targets(torch.zeros(1, 2), p, beta=0.7).requires_grad
