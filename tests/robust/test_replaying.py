"""What an accelerator replays must stay as it was, in the branches that the contracts do not take; and is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from noisyclean.engine.descent import ORDINARY_STEPS
from noisyclean.engine.loop import Task
from noisyclean.robust.method import methods
from noisyclean.robust.replaying import difference, watch_steps
from noisyclean.robust.toy import make_data, make_small
from tests.engine.test_distributed import probe, simclr

ENOUGH = {"epochs": 6, "warmup_epochs": 3, "plus_epochs": 6, "memory_after": 2, "bootstrap_after": 3}
MIXMATCH = {"learn": "mixmatch", "guess": "step", "batch": 4}
PAPER = {"num_nets": 2, "ema_decay": 0.0, "warmup_clip_norm": 1.0, "confidence_penalty": "on"}
STEPS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in methods.names()]
STEPS += [
    ("dividemix", MIXMATCH),
    ("dividemix", MIXMATCH | PAPER),
    ("elr-plus", {"num_nets": 2, "strength_ramp_steps": 20, "ema_ramp_steps": 20}),
    ("moit", {"guess": "step", "ema_decay": 0.0}),
]


def differences(task: Task, num_epochs: int) -> list[str]:
    """Of every kind of step."""
    watched = watch_steps(task, num_epochs)
    assert watched
    assert all(len(steps) > ORDINARY_STEPS + 1 for steps in watched.values()), "too few of a kind to be replayed"
    return [difference(steps) for steps in watched.values()]


@pytest.mark.parametrize(("name", "changes"), STEPS)
def test_steps_of_a_method_can_be_replayed(name: str, changes: dict[str, Any]) -> None:
    method = make_small(methods.get(name), make_data(), **(ENOUGH | changes))
    assert not any(differences(method, method.num_epochs))


@pytest.mark.parametrize("make", [simclr, probe])
def test_and_so_can_those_of_the_pretraining_and_the_probe(make: Any) -> None:
    assert not any(differences(make(), 4))


def test_a_number_that_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    task = probe()

    def change_mixup(epoch: int) -> dict[str, float]:
        task.config = replace(task.config, mixup_alpha=epoch + 1.0)
        return {}

    monkeypatch.setattr(task, "end_epoch", change_mixup)
    (found,) = differences(task, 4)
    assert "aten.full" in found


def test_a_tensor_that_is_replaced_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    task = probe()
    original = task.begin_epoch

    def replace_labels(epoch: int) -> None:
        task.label_N = task.label_N.clone()
        original(epoch)

    monkeypatch.setattr(task, "begin_epoch", replace_labels)
    (found,) = differences(task, 4)
    assert "took another's place" in found
