"""Folded normalisation: nets answer as before, whatever their forward does, and lose what can be taken in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from noisyclean.engine.fold import folded
from noisyclean.nn import create_backbone
from noisyclean.pipeline.origin import OWN_BACKBONES


def normalisations(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]


def unsettled(net: nn.Module) -> nn.Module:
    """With statistics, weights and biases that leave nothing as it was."""
    torch.manual_seed(0)
    for part in normalisations(net):
        for tensor, low, high in ((part.running_mean, -0.2, 0.2), (part.running_var, 0.5, 2.0)):
            if tensor is not None:
                nn.init.uniform_(tensor, low, high)
        if part.affine:
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return net.eval()


def assert_same(net: nn.Module, x: Tensor) -> nn.Module:
    quick = folded(net, x[:1])
    with torch.inference_mode():
        wanted = net(x.clone())
        assert torch.allclose(quick(x.clone()), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    return quick


@pytest.mark.parametrize("name", sorted(OWN_BACKBONES))
def test_our_nets_answer_the_same(name: str) -> None:
    net = unsettled(create_backbone(name, num_classes=5, seed=0))
    quick = assert_same(net, torch.randn(4, 3, 32, 32))
    assert len(normalisations(quick)) < len(normalisations(net))
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(part.training for part in quick.modules())


@pytest.mark.parametrize(
    "name", ["noisyclean_compact", "resnet18", "tf_mobilenetv3_small_minimal_100", "regnetx_002", "vgg11_bn"]
)
def test_all_normalisation_goes_where_it_stands_behind_convolutions(name: str) -> None:
    net = unsettled(create_backbone(name, num_classes=5, seed=0))
    size_px = 32 if name.startswith("noisyclean") else 224
    assert not normalisations(assert_same(net, torch.randn(2, 3, size_px, size_px)))


def test_normalisation_that_turns_values_around_is_not_folded_through_their_largest() -> None:
    net = create_backbone("noisyclean_compact", num_classes=5, seed=0)
    for part in normalisations(net):
        nn.init.normal_(part.weight)
    assert len(normalisations(assert_same(net, torch.randn(4, 3, 32, 32)))) == 2


def test_what_is_folded_already_is_returned_as_it_is() -> None:
    net, x = unsettled(create_backbone("noisyclean_compact", num_classes=5, seed=0)), torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        quick = folded(net, x)
        assert quick is not net
        assert folded(quick, x) is quick


class Pair(nn.Module):
    """A convolution, its normalisation, and some way of using them."""

    def __init__(self, convolution: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.convolution = convolution or nn.Conv2d(3, 3, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.convolve(x)).relu_()

    def convolve(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolution(x)
        return y

    def normalise(self, x: Tensor) -> Tensor:
        y: Tensor = self.normalisation(x)
        return y


class TakenTwice(Pair):
    def forward(self, x: Tensor) -> Tensor:
        x = self.convolve(x)
        return self.normalise(x) + x.relu()


class UsedAgain(Pair):
    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(self.normalise(self.convolve(x)))


class InBetween(Pair):
    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.convolve(x).sin_())


class WeightsUsedApart(Pair):
    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.convolve(x)) + conv2d(x, self.convolution.weight, padding=1)


class ReadsTheNormalisation(Pair):
    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.convolve(x)) * self.normalisation.eps


class ByValue(Pair):
    def forward(self, x: Tensor, plain: Any = None) -> Tensor:
        assert isinstance(x, Tensor)
        return super().forward(x if plain is None and x.sum() > 0 else -x)


class WritesOverItsInput(Pair):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(2))


class Standardised(nn.Conv2d):
    """Its weights are not what it multiplies by."""

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight / self.weight.std(), self.bias, padding=1)


class Uncopied(Pair):
    def __deepcopy__(self, _: object) -> Pair:
        raise TypeError("this net cannot be copied")


@pytest.mark.parametrize(
    ("net", "left"),
    [
        (Pair(), 0),
        (ByValue(), 0),
        (WritesOverItsInput(), 0),
        (nn.Sequential(Pair(), Pair()), 0),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4, affine=False), nn.ReLU()), 0),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)), 1),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), 1),
        (nn.Sequential(Pair(), TakenTwice()), 1),
        (nn.Sequential(Pair(), UsedAgain()), 1),
        (nn.Sequential(Pair(), InBetween()), 1),
        (WeightsUsedApart(), 1),
        (ReadsTheNormalisation(), 1),
        (Pair(Standardised(3, 3, 3)), 1),
        (Pair(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3))), 1),
        (Uncopied(), 1),
    ],
)
def test_only_what_a_normalisation_alone_takes_is_folded(net: nn.Module, left: int) -> None:
    quick = assert_same(unsettled(net), torch.randn(2, 3, 9, 9))
    assert len(normalisations(quick)) == left
    assert (quick is net) == (left == len(normalisations(net))), "a net that nothing is gained for is not copied"
