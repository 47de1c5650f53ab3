"""Normalisation folded into the convolution before it, for evaluation.

What follows what is read off the graph that autograd keeps of one answer, so a net may compute as it likes. Whatever
that does not show, the answer of the folded net does: it must be the same.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["folded"]

CLOSE = 1e-2
"""Largest difference of the folded net's answer, relative to the largest value: accelerators round to ten bits."""

_Call = tuple[nn.Module, Node | None, Node | None]
"""Of a layer: itself, what step gave its input, and what step gives its output."""


def folded(model: nn.Module, x_BIHW: Tensor) -> nn.Module:
    """A net that computes the same with fewer passes over its activations.

    A batch normalisation goes where it alone takes what a convolution gives, the largest values of that taken first or
    not; timm's leaves its activation behind.

    Args:
        model: Any net from images to a tensor; left as it is, but for eval mode.
        x_BIHW: An image or more on the net's device, to try it on.

    Returns:
        A copy in eval mode; the net itself where nothing can be folded, or where it would then answer otherwise.
    """
    model.eval()
    if not any(isinstance(part, nn.BatchNorm2d) for part in model.modules()):
        return model
    try:
        with torch.inference_mode(False):
            quick = _folded(copy.deepcopy(model).requires_grad_(False), x_BIHW.clone())
    except Exception:  # a foreign net cannot be copied, or have its weights replaced: no reason to stop
        return model
    return model if quick is None else quick


def _folded(model: nn.Module, x_BIHW: Tensor) -> nn.Module | None:
    """The net, changed; None where nothing can be folded, or where it then answers otherwise."""
    with torch.enable_grad(), _noted_calls(model) as calls:
        answer = model(x_BIHW.requires_grad_().clone())  # some nets write over what they are given
    wanted = answer.detach()
    instead: dict[nn.Module, nn.Module] = {}
    for convolution, normalisation in _pairs(calls, _uses(answer)):
        instead[convolution] = fuse_conv_bn_eval(convolution, normalisation)
        instead[normalisation] = nn.Sequential(*normalisation.children()).eval()
    if not instead:
        return None
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if part in instead:
                setattr(parent, name, instead[part])
    with torch.no_grad():
        is_same = (model(x_BIHW.clone()) - wanted).abs().max() <= CLOSE * wanted.abs().max()
    return model if is_same else None


@contextmanager
def _noted_calls(model: nn.Module) -> Iterator[list[_Call]]:
    """Note each call of a layer that may be folded, or lie between, inside the block."""
    calls: list[_Call] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((layer, given[0].grad_fn, output.grad_fn))

    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.MaxPool2d | nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _pairs(calls: list[_Call], uses: Counter[Node | None]) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution that can take a normalisation in, and that one."""
    times = Counter(layer for layer, _, _ in calls)
    calls = [call for call in calls if times[call[0]] == 1]
    givers = {output: (layer, given) for layer, given, output in calls if uses[output] == 1}
    for layer, given, _ in calls:
        if not isinstance(layer, nn.BatchNorm2d):
            continue
        before, given_before = givers.get(given, (None, None))
        if isinstance(before, nn.MaxPool2d) and _keeps_order(layer):
            before, _ = givers.get(given_before, (None, None))
        if isinstance(before, nn.Conv2d):
            yield before, layer


def _uses(answer: Tensor) -> Counter[Node | None]:
    """How many steps take what each step gave."""
    uses: Counter[Node | None] = Counter()
    waiting, seen = [answer.grad_fn], set[Node]()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            before = [step for step, _ in node.next_functions]
            uses.update(before)
            waiting += before
    return uses


def _keeps_order(normalisation: nn.BatchNorm2d) -> bool:
    return not normalisation.affine or bool((normalisation.weight > 0).all())
