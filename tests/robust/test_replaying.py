"""What an accelerator replays must stay as it was: later steps read the very tensors that a recorded one read.

And they compute with the same numbers: what changes from step to step is given to them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from noisyclean.engine.descent import ORDINARY_STEPS, Descent, Figures, FiguresOf
from noisyclean.engine.loop import Task
from noisyclean.robust.method import methods
from noisyclean.robust.toy import make_data, make_small
from tests.engine.test_distributed import probe, simclr

ENOUGH = {"epochs": 6, "warmup_epochs": 3, "plus_epochs": 6, "memory_after": 2, "bootstrap_after": 3}
PAPER = {"num_nets": 2, "ema_decay": 0.0, "warmup_clip_norm": 1.0, "confidence_penalty": "on"}
STEPS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in methods.names()]
STEPS += [
    ("dividemix", {"learn": "mixmatch", "guess": "step", "batch": 4}),
    ("dividemix", {"learn": "mixmatch", "guess": "step", "batch": 4, **PAPER}),
    ("elr-plus", {"num_nets": 2, "strength_ramp_steps": 20, "ema_ramp_steps": 20}),
    ("moit", {"guess": "step", "ema_decay": 0.0}),
]


class Reads(TorchDispatchMode):
    """Tensors that were there before: neither given nor made inside."""

    def __init__(self, given: tuple[Tensor, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made = {_place(tensor) for tensor in given}
        self.found: dict[int, Tensor] = {}
        self.operations: list[tuple[object, ...]] = []
        """Each with its numbers."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = tree_leaves((args, kwargs))
        self.operations.append((func, *(repr(leaf) for leaf in leaves if isinstance(leaf, int | float | str))))
        for tensor in leaves:
            if isinstance(tensor, Tensor) and _place(tensor) not in self.made:
                self.found[_place(tensor)] = tensor.detach()  # held, so that nothing new comes to lie there
        results = func(*args, **(kwargs or {}))
        self.made |= {_place(tensor) for tensor in tree_leaves(results) if isinstance(tensor, Tensor)} - set(self.found)
        return results


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def reads_of(task: Task, num_epochs: int, monkeypatch: pytest.MonkeyPatch) -> dict[Hashable, list[Reads]]:
    """Of every kind of step, what each step read."""
    found: dict[Hashable, list[Reads]] = {}
    original = Descent.step

    def watched(self: Descent, figures_of: FiguresOf, *given: Tensor, kind: Hashable = "", **options: Any) -> Figures:
        def watch(draw: torch.Generator, *given: Tensor) -> Figures:
            with Reads(given) as reads:
                figures = figures_of(draw, *given)
            found.setdefault((id(self), kind, *(tensor.shape for tensor in given)), []).append(reads)
            return figures

        return original(self, watch, *given, kind=kind, **options)

    monkeypatch.setattr(Descent, "step", watched)
    for epoch in range(num_epochs):
        task.begin_epoch(epoch)
        for step in range(task.num_steps(epoch)):
            task.step(epoch, step)
        task.end_epoch(epoch)
    return found


def assert_all_stay(found: dict[Hashable, list[Reads]]) -> None:
    for kind, steps in found.items():
        assert len(steps) > ORDINARY_STEPS + 1, f"too few steps of {kind} to be replayed"
        recorded, *later = steps[ORDINARY_STEPS:]
        for step in later:
            assert step.found.keys() == recorded.found.keys()
            assert step.operations == recorded.operations


@pytest.mark.parametrize(("name", "changes"), STEPS)
def test_steps_of_a_method_read_what_stays(name: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    method = make_small(methods.get(name), make_data(), **(ENOUGH | changes))
    assert_all_stay(reads_of(method, method.num_epochs, monkeypatch))


@pytest.mark.parametrize("make", [simclr, probe])
def test_and_so_do_those_of_the_pretraining_and_the_probe(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_all_stay(reads_of(make(), 4, monkeypatch))


def test_a_number_that_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    task = probe()

    def change_mixup(epoch: int) -> dict[str, float]:
        task.config = replace(task.config, mixup_alpha=epoch + 1.0)
        return {}

    monkeypatch.setattr(task, "end_epoch", change_mixup)
    with pytest.raises(AssertionError):
        assert_all_stay(reads_of(task, 4, monkeypatch))


def test_what_is_replaced_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    task = probe()
    original = task.begin_epoch

    def replace_labels(epoch: int) -> None:
        task.label_N = task.label_N.clone()
        original(epoch)

    monkeypatch.setattr(task, "begin_epoch", replace_labels)
    with pytest.raises(AssertionError):
        assert_all_stay(reads_of(task, 4, monkeypatch))
