"""Whether steps may be replayed: later ones read the tensors that a recorded one read, and compute with its numbers.

An accelerator that replays a step cannot notice otherwise (:class:`~noisyclean.engine.descent.Descent`); this looks at
what ordinary steps do, on any device.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from noisyclean.base.log import Silent
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.descent import ORDINARY_STEPS, Descent, Figures, FiguresOf
from noisyclean.engine.loop import Task, fit

__all__ = ["Reads", "difference", "watch_steps"]


class Reads(TorchDispatchMode):
    """What the block does: its operations with their numbers, and the tensors it finds there.

    Args:
        given: Tensors that may be others each time.
    """

    def __init__(self, given: tuple[Tensor, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[int, Tensor] = {}
        """By their place in memory; neither given nor made inside."""
        self.operations: list[tuple[object, ...]] = []
        self._made = {_place(tensor) for tensor in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note an operation down, and do it."""
        leaves = tree_leaves((args, kwargs))
        self.operations.append((func, *(repr(leaf) for leaf in leaves if isinstance(leaf, int | float | str))))
        for tensor in leaves:
            if isinstance(tensor, Tensor) and _place(tensor) not in self._made:
                self.found[_place(tensor)] = tensor.detach()  # held, so that nothing new comes to lie there
        results = func(*args, **(kwargs or {}))
        made = {_place(tensor) for tensor in tree_leaves(results) if isinstance(tensor, Tensor)}
        self._made |= made - self.found.keys()
        return results


def watch_steps(task: Task, num_epochs: int) -> dict[tuple[Hashable, ...], list[Reads]]:
    """Train a task from its beginning and write down what its steps do, those of every descent and kind by themselves.

    Args:
        task: Trained in place, on a CPU.
        num_epochs: Epochs.
    """
    found: dict[tuple[Hashable, ...], list[Reads]] = {}
    with _watched(found):
        fit(task, title="watched", num_epochs=num_epochs, checkpoint=Checkpoint(None), reporter=Silent())
    return found


def difference(steps: list[Reads]) -> str:
    """How a step that would be replayed differs from the one that would be recorded; empty where none does."""
    for recorded in steps[ORDINARY_STEPS : ORDINARY_STEPS + 1]:
        for later in steps[ORDINARY_STEPS + 1 :]:
            for one, other in zip(recorded.operations, later.operations, strict=False):
                if one != other:
                    return f"{' '.join(map(str, one))} became {' '.join(map(str, other))}"
            if len(recorded.operations) != len(later.operations):
                return f"{len(recorded.operations)} operations became {len(later.operations)}"
            if new := later.found.keys() - recorded.found.keys():
                return f"a tensor of shape {tuple(later.found[new.pop()].shape)} took another's place"
    return ""


@contextmanager
def _watched(found: dict[tuple[Hashable, ...], list[Reads]]) -> Iterator[None]:
    original = Descent.step

    def step(self: Descent, figures_of: FiguresOf, *given: Tensor, kind: Hashable = "", **options: Any) -> Figures:
        def watched(draw: torch.Generator, *given: Tensor) -> Figures:
            with Reads(given) as reads:
                figures = figures_of(draw, *given)
            found.setdefault((id(self), kind, *(tensor.shape for tensor in given)), []).append(reads)
            return figures

        return original(self, watched, *given, kind=kind, **options)

    setattr(Descent, "step", step)  # noqa: B010
    try:
        yield
    finally:
        setattr(Descent, "step", original)  # noqa: B010


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
