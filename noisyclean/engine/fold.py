"""Normalisation folded into the convolution before it, for evaluation."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["folded"]

CLOSE = 1e-3
"""Largest difference of what a folded layer gives for noise, relative to its largest value."""


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode that computes the same with fewer passes over its activations.

    A batch normalisation goes where it alone takes what a convolution gives, the largest values of that taken first or
    not; timm's leaves its activation behind. That is read off a trace of the net, or of its parts where values decide
    what is computed.

    Args:
        model: Any net; left as it is, but for eval mode.
    """
    copied = copy.deepcopy(model.eval()).requires_grad_(False)
    for name, name_after in list(_pairs(copied)):
        convolution, normalisation = copied.get_submodule(name), copied.get_submodule(name_after)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(normalisation, nn.BatchNorm2d)
        fused, rest = fuse_conv_bn_eval(convolution, normalisation), nn.Sequential(*normalisation.children())
        if _gives_the_same(convolution, normalisation, nn.Sequential(fused, rest)):
            _put(copied, name, fused)
            _put(copied, name_after, rest)
    return copied


class _Tracer(fx.Tracer):
    """Looks into what has parts, but for layers that are folded."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_layer = isinstance(m, nn.BatchNorm2d) or not any(True for _ in m.children())
        return is_layer or super().is_leaf_module(m, module_qualified_name)


def _pairs(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of each convolution that can take a normalisation in, and of that one."""
    try:
        calls = [node for node in _Tracer().trace(model).nodes if node.op == "call_module"]
    except Exception:
        for own, part in model.named_children():
            yield from ((f"{own}.{name}", f"{own}.{name_after}") for name, name_after in _pairs(part))
        return
    times = Counter(node.target for node in calls)
    layers = {node: model.get_submodule(str(node.target)) for node in calls if times[node.target] == 1}
    for node, layer in layers.items():
        if not isinstance(layer, nn.BatchNorm2d) or layer.running_mean is None:
            continue
        before = _source(node)
        if isinstance(layers.get(before), nn.MaxPool2d) and _keeps_order(layer):
            before = _source(before)
        if isinstance(layers.get(before), nn.Conv2d):
            yield str(before.target), str(node.target)


def _source(node: fx.Node) -> fx.Node:
    """What gives a node its values, if to no other one; else the node itself."""
    before = node.args[0] if node.args else None
    return before if isinstance(before, fx.Node) and len(before.users) == 1 else node


def _keeps_order(normalisation: nn.BatchNorm2d) -> bool:
    return not normalisation.affine or bool((normalisation.weight > 0).all())


def _gives_the_same(convolution: nn.Conv2d, normalisation: nn.BatchNorm2d, quick: nn.Module) -> bool:
    """Whether the two can be folded: some convolutions standardise their weights first."""
    height, width = (2 * size * gap for size, gap in zip(convolution.kernel_size, convolution.dilation, strict=True))
    noise = torch.randn(1, convolution.in_channels, height, width, generator=torch.Generator().manual_seed(0))
    x_BIHW = noise.to(convolution.weight)
    wanted_BJHW = normalisation(convolution(x_BIHW))
    return bool((quick(x_BIHW) - wanted_BJHW).abs().max() <= CLOSE * wanted_BJHW.abs().max())


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
