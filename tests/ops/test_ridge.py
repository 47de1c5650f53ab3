"""Left-out predictions against fits that really leave the samples out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisyclean.ops.ridge import RidgeSystem, leave_out_predictions, leave_out_views

NUM, DIM, CLASSES = 40, 6, 3
PENALTY = 2.5


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(NUM, DIM, generator=draw, dtype=torch.float64) * torch.arange(1, DIM + 1)
    target = torch.nn.functional.one_hot(torch.randint(CLASSES, (NUM,), generator=draw), CLASSES).double()
    return z, target


def fit(z: Tensor, target: Tensor) -> RidgeSystem:
    return RidgeSystem.accumulate(zip(z.split(7), target.split(7), strict=True))


def slow_prediction(z: Tensor, target: Tensor, left_out: list[int], asked: Tensor) -> Tensor:
    """Solve the normal equations without some samples; the features' scales are those of all, as documented."""
    scale = z.std(dim=0, correction=0)
    kept = [i for i in range(len(z)) if i not in left_out]
    features, targets = z[kept] / scale, target[kept]
    centred = features - features.mean(dim=0)
    gram = centred.T @ centred + PENALTY * torch.eye(z.shape[1], dtype=torch.float64)
    weight: Tensor = torch.linalg.solve(gram, centred.T @ (targets - targets.mean(dim=0)))
    return (asked / scale - features.mean(dim=0)) @ weight + targets.mean(dim=0)


def test_each_sample_is_predicted_by_the_fit_without_it(data: tuple[Tensor, Tensor]) -> None:
    z, target = data
    system = fit(z, target)
    got = leave_out_predictions(system, system.rotate(z), target, PENALTY)
    expected = torch.stack([slow_prediction(z, target, [row], z[row]) for row in range(NUM)])
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("size", [2, 4, 15])
def test_a_group_is_left_out_together(data: tuple[Tensor, Tensor], size: int) -> None:
    z, target = data
    system = fit(z, target)
    group = torch.arange(3, 3 + size)
    got = leave_out_predictions(system, system.rotate(z), target, PENALTY, [group])
    expected = torch.stack([slow_prediction(z, target, group.tolist(), z[row]) for row in group.tolist()])
    torch.testing.assert_close(got[group], expected, rtol=1e-4, atol=1e-5)
    alone = leave_out_predictions(system, system.rotate(z), target, PENALTY)
    others = [row for row in range(NUM) if row not in group.tolist()]
    torch.testing.assert_close(got[others], alone[others])


def test_the_linear_layer_is_the_prediction(data: tuple[Tensor, Tensor]) -> None:
    z, target = data
    system = fit(z, target)
    weight, bias = system.linear(PENALTY)
    torch.testing.assert_close(z @ weight.T + bias, system.predict(system.rotate(z), PENALTY))


def test_a_constant_feature_does_no_harm(data: tuple[Tensor, Tensor]) -> None:
    z, target = data
    with_constant = torch.cat([z, torch.ones(NUM, 1, dtype=torch.float64)], dim=1)
    first, second = fit(z, target), fit(with_constant, target)
    torch.testing.assert_close(
        leave_out_predictions(second, second.rotate(with_constant), target, PENALTY),
        leave_out_predictions(first, first.rotate(z), target, PENALTY),
    )


def test_another_view_is_predicted_by_the_fit_without_the_sample(data: tuple[Tensor, Tensor]) -> None:
    z, target = data
    system = fit(z, target)
    view = z.flip(1)
    got = leave_out_views(system, system.rotate(z), system.rotate(view), target, PENALTY)
    expected = torch.stack([slow_prediction(z, target, [row], view[row]) for row in range(NUM)])
    torch.testing.assert_close(got, expected)
    same = leave_out_views(system, system.rotate(z), system.rotate(z), target, PENALTY)
    torch.testing.assert_close(same, leave_out_predictions(system, system.rotate(z), target, PENALTY))


def test_more_features_than_samples_do_not_give_the_label_away() -> None:
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(30, 200, generator=draw, dtype=torch.float64)
    target = torch.nn.functional.one_hot(torch.randint(2, (30,), generator=draw), 2).double()
    system = fit(z, target)
    got = leave_out_predictions(system, system.rotate(z), target, 1e-3)
    agreement = (got.argmax(dim=1) == target.argmax(dim=1)).double().mean()
    assert 0.2 < agreement < 0.8


def test_a_group_of_all_samples_is_told_nothing_of_its_labels(data: tuple[Tensor, Tensor]) -> None:
    z, target = data
    system = fit(z, target)
    everyone = [torch.arange(NUM)]
    found = leave_out_predictions(system, system.rotate(z), target, PENALTY, everyone)
    assert torch.allclose(found, target.mean(dim=0).expand(NUM, CLASSES))
