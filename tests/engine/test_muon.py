"""Muon against slow loops: exact singular values, plain momentum, and which weights it is for."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisyclean.engine.muon import COEFFICIENTS, ITERATIONS, MOMENTUM, inner_weights, orthogonal
from noisyclean.engine.optim import INNER_DECAY, INNER_PACE, create_optimizer, set_rate
from noisyclean.nn import create_backbone
from noisyclean.nn.heads import linear_projection

shapes = st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 40))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def iterate(singular: float) -> float:
    """The iteration on one singular value."""
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(ITERATIONS):
        singular = linear * singular + cubic * singular**3 + quintic * singular**5
    return singular


def slowly_orthogonal(x_MN: np.ndarray) -> np.ndarray:
    """The same singular vectors; every singular value iterated by itself."""
    u, singular_K, v = np.linalg.svd(x_MN.astype(np.float64), full_matrices=False)
    norm = np.sqrt((singular_K**2).sum())
    iterated: np.ndarray = u @ np.diag([iterate(value / norm) for value in singular_K]) @ v
    return iterated


@settings(deadline=None, max_examples=50)
@given(shape=shapes, seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_orthogonal_against_singular_values(shape: tuple[int, int, int], seed: int, scale: float) -> None:
    x_LMN = scale * draw(*shape, seed=seed)
    expected = np.stack([slowly_orthogonal(x_MN) for x_MN in x_LMN.numpy()])
    np.testing.assert_allclose(orthogonal(x_LMN).numpy(), expected, atol=1e-4)


def test_singular_values_come_to_lie_about_one() -> None:
    assert all(0.4 < iterate(value) < 1.3 for value in np.linspace(1 / 30, 1, 1000))


def test_a_tall_matrix_is_a_wide_one_turned() -> None:
    x_LMN = draw(2, 40, 7)
    torch.testing.assert_close(orthogonal(x_LMN), orthogonal(x_LMN.mT).mT)


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(1, 3, 5)), torch.zeros(1, 3, 5))


def test_products_of_half_precision_are_close() -> None:
    x_LMN = draw(2, 16, 72)
    close = orthogonal(x_LMN, dtype=torch.bfloat16)
    assert close.dtype == torch.float32
    torch.testing.assert_close(close, orthogonal(x_LMN), atol=0.05, rtol=0.05)


class Small(nn.Module):
    """Two convolutions and a classifier, as timm wants to find it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.alike = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)])
        self.inner = nn.Conv2d(8, 6, 3)
        self.fc = nn.Linear(6, 4)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, x_BIHW: Tensor) -> Tensor:
        h_BIHW = self.alike[1](self.alike[0](self.stem(x_BIHW).relu()).relu())
        logits_BC: Tensor = self.fc(self.inner(h_BIHW).mean(dim=(2, 3)))
        return logits_BC


def small(seed: int = 0) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small()


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range, *, rate: float = 0.1) -> None:
    for step in steps:
        optimizer.zero_grad()
        net(draw(5, 3, 8, 8, seed=step)).square().sum().backward()
        set_rate(optimizer, rate)
        optimizer.step()


def test_steps_against_a_slow_loop() -> None:
    net, expected = small(), small()
    weight_decay, rate = 0.01, 0.1
    train(net, create_optimizer("muon", net, weight_decay=weight_decay), range(3), rate=rate)
    velocity = {name: torch.zeros_like(weight) for name, weight in expected.named_parameters()}
    for step in range(3):
        expected.zero_grad()
        expected(draw(5, 3, 8, 8, seed=step)).square().sum().backward()
        for name, weight in expected.named_parameters():
            assert weight.grad is not None
            decay = weight_decay * weight.detach() if weight.ndim > 1 else 0.0
            if name == "inner.weight" or (name.startswith("alike") and weight.ndim > 1):
                decay *= INNER_DECAY
                velocity[name] = MOMENTUM * velocity[name] + weight.grad
                ahead = weight.grad + MOMENTUM * velocity[name]
                flat = slowly_orthogonal(ahead.flatten(1).numpy()).astype(np.float32)
                change = INNER_PACE * (torch.from_numpy(flat).view_as(weight) + decay)
            else:
                velocity[name] = 0.9 * velocity[name] + weight.grad + decay
                change = weight.grad + decay + 0.9 * velocity[name]
            weight.data -= rate * change
    for (name, weight), other in zip(net.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=1e-4, rtol=1e-3, msg=name)


def test_the_layout_in_memory_changes_nothing() -> None:
    plain, last = small(), small().to(memory_format=torch.channels_last)
    for net in (plain, last):
        train(net, create_optimizer("muon", net, weight_decay=0.0), range(2))
    assert last.inner.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain.inner.weight, last.inner.weight.contiguous(), atol=1e-5, rtol=1e-4)


def test_a_tall_matrix_steps_further() -> None:
    net = nn.Linear(4, 36, bias=False)
    before = net.weight.detach().clone()
    train_once = create_optimizer("muon", net, weight_decay=0.0)
    net(draw(50, 4)).square().sum().backward()
    set_rate(train_once, 1.0)
    train_once.step()
    assert net.weight.grad is not None
    longest = torch.linalg.matrix_norm(before - net.weight.detach(), ord=2) / INNER_PACE
    assert 0.4 * 3 < float(longest) < 1.3 * 3


def test_a_saved_state_continues_to_the_same_weights() -> None:
    whole, stopped = small(), small()
    train(whole, create_optimizer("muon", whole, weight_decay=1e-3), range(6))
    first = create_optimizer("muon", stopped, weight_decay=1e-3)
    train(stopped, first, range(3))
    second = create_optimizer("muon", stopped, weight_decay=1e-3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(stopped, second, range(3, 6))
    for a, b in zip(whole.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_weight_without_a_gradient_is_left_alone() -> None:
    net = small()
    before = net.inner.weight.detach().clone()
    optimizer = create_optimizer("muon", net, weight_decay=0.1)
    set_rate(optimizer, 1.0)
    optimizer.step()
    assert torch.equal(net.inner.weight, before)


@pytest.mark.parametrize("name", [name for name in timm.list_models("noisyclean_*") if "50" not in name])
def test_inner_weights_of_our_nets_are_all_but_the_first_and_the_last_layer(name: str) -> None:
    net = create_backbone(name, num_classes=10, seed=0)
    matrices = [name for name, weight in net.named_parameters() if weight.ndim > 1]
    chosen = {id(weight) for weight in inner_weights(net)}
    assert [name for name, weight in net.named_parameters() if id(weight) in chosen] == matrices[1:-1]


def test_inner_weights_of_other_layers() -> None:
    grouped = nn.Conv2d(8, 8, 3, groups=8)
    frozen = nn.Linear(6, 6).requires_grad_(False)
    projection = linear_projection(6, 5, seed=0)
    net = small()
    assert list(inner_weights(nn.ModuleList([net, grouped, frozen, projection]))) == [
        *(layer.weight for layer in net.alike),
        net.inner.weight,
        projection.weight,
    ]


@pytest.mark.parametrize("name", ["sgd", "plain-sgd"])
def test_other_optimizers_take_every_weight(name: str) -> None:
    net = small()
    optimizer = create_optimizer(name, net, weight_decay=1e-3)  # type: ignore[arg-type]
    held = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    assert sorted(held) == sorted(id(weight) for weight in net.parameters())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-3, 1e-3 if name == "plain-sgd" else 0.0]
