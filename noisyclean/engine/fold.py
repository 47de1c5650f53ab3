"""Normalisation folded into the convolution before it, for evaluation.

What follows what is read off the graph that autograd keeps of one answer, so a net may compute as it likes. Whatever
that does not show, the answer of the folded net does: it must be the same.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["folded"]

CLOSE = 1e-2
"""Largest difference of the folded net's answer, relative to the largest value: accelerators round to ten bits."""


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
    """The net, changed; None where it then answers otherwise."""
    watch = _Watch(model)
    with torch.enable_grad(), watch:
        answer = model(x_BIHW.requires_grad_().clone())  # some nets write over what they are given
    wanted = answer.detach()
    instead: dict[nn.Module, nn.Module] = {}
    for convolution, normalisation in watch.pairs(answer):
        instead[convolution] = fuse_conv_bn_eval(convolution, normalisation)
        instead[normalisation] = nn.Sequential(*normalisation.children()).eval()
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if part in instead:
                setattr(parent, name, instead[part])
    with torch.no_grad():
        is_same = (model(x_BIHW.clone()) - wanted).abs().max() <= CLOSE * wanted.abs().max()
    return model if is_same else None


class _Watch:
    """Notes between which steps of the computation a net's layers stand, while it is entered."""

    def __init__(self, model: nn.Module) -> None:
        kinds = (nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d)
        self._layers = [part for part in model.modules() if isinstance(part, kinds)]
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._calls: list[tuple[nn.Module, Node | None, Node | None]] = []
        """Layer, what gave its input, and what gives its output."""

    def __enter__(self) -> None:
        self._hooks = [layer.register_forward_hook(self._note) for layer in self._layers]

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _note(self, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        self._calls.append((layer, given[0].grad_fn, output.grad_fn))

    def pairs(self, answer: Tensor) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Each convolution that can take a normalisation in, and that one."""
        uses, times = _uses(answer), Counter(layer for layer, _, _ in self._calls)
        calls = [call for call in self._calls if times[call[0]] == 1]
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
