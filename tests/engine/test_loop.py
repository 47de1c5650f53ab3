from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from noisyclean.base.log import Silent
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.loop import fit
from noisyclean.errors import Interrupted, NoisycleanError


class Walk:
    """A task whose state is a path; stops the process's luck at a chosen step."""

    def __init__(
        self, *, fail_at: int | None = None, interrupt_at: int | None = None, nan_at: int | None = None
    ) -> None:
        self.value = torch.zeros(())
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.fail_at, self.interrupt_at, self.nan_at = fail_at, interrupt_at, nan_at

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        return 4

    def begin_epoch(self, epoch: int) -> None:
        self.begun.append(epoch)

    def step(self, epoch: int, step: int) -> Mapping[str, Tensor]:
        at = 4 * epoch + step
        if at == self.fail_at:
            raise RuntimeError("killed")
        if at == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.value = self.value * 0.5 + at
        return {"loss": torch.tensor(float("nan")) if at == self.nan_at else self.value}

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        self.ended.append(epoch)
        return {"epoch": float(epoch)}

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value = state["value"]


def run(task: Walk, path: Path | None, every_s: float = 0.0) -> list[dict[str, float]]:
    checkpoint = Checkpoint(path, every_s=every_s)
    return fit(task, title="walk", num_epochs=3, checkpoint=checkpoint, reporter=Silent())


def test_runs_every_step_and_epoch_once() -> None:
    task = Walk()
    history = run(task, None)
    assert task.begun == task.ended == [0, 1, 2]
    assert [figures["epoch"] for figures in history] == [0, 1, 2]


@pytest.mark.parametrize("fail_at", range(1, 12))
def test_a_killed_training_continues_to_the_same_end(tmp_path: Path, fail_at: int) -> None:
    whole = Walk()
    history = run(whole, None)
    with pytest.raises(RuntimeError, match="killed"):
        run(Walk(fail_at=fail_at), tmp_path / "c.pt")
    second = Walk()
    assert run(second, tmp_path / "c.pt") == history
    assert torch.equal(second.value, whole.value)


def test_ctrl_c_saves_and_stops_after_the_step(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    whole = Walk()
    run(whole, None)
    with pytest.raises(Interrupted, match="stopped in epoch 2") as caught:
        run(Walk(interrupt_at=5), tmp_path / "c.pt", every_s=1e9)
    assert caught.value.exit_code == 130
    second = Walk()
    run(second, tmp_path / "c.pt")
    assert torch.equal(second.value, whole.value)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_not_finite_stops_with_advice() -> None:
    with pytest.raises(NoisycleanError, match="loss became nan in epoch 2, step 4") as caught:
        run(Walk(nan_at=7), None)
    assert "learning rate" in caught.value.hint


class TwoNets(Walk):
    """First one net's steps, then the other's, which are told over the same memory."""

    told = torch.zeros(())

    def step(self, epoch: int, step: int) -> Mapping[str, Tensor]:
        loss = super().step(epoch, step)["loss"]
        return {f"loss {1 + step // 2}": self.told.copy_(loss)}


def test_the_last_loss_of_every_net_is_recorded_and_must_be_finite() -> None:
    history = run(TwoNets(), None)
    assert history[0] == {"loss 1": 1.0, "loss 2": 4.25, "epoch": 0.0}
    with pytest.raises(NoisycleanError, match="loss 1 became nan in epoch 1"):
        run(TwoNets(nan_at=1), None)


def test_a_bad_state_is_never_saved(tmp_path: Path) -> None:
    with pytest.raises(NoisycleanError):
        run(Walk(nan_at=0), tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


def test_a_checkpoint_that_takes_long_is_written_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])

    class Slow:
        """Takes four seconds to be written."""

        def __reduce__(self) -> tuple[type, tuple[()]]:
            now_s[0] += 4
            return (dict, ())

    checkpoint = Checkpoint(tmp_path / "c.pt", every_s=20)
    due = []
    for at in (19, 20):
        now_s[0] = at
        due.append(checkpoint.is_due())
    checkpoint.save({"state": Slow()})
    for at in (24 + 119, 24 + 121):
        now_s[0] = at
        due.append(checkpoint.is_due())
    checkpoint.save({})
    for at in (145 + 19, 145 + 21):
        now_s[0] = at
        due.append(checkpoint.is_due())
    assert due == [False, True] * 3
