"""The training loop, once: progress, checkpoints, finite checks and interruption for every task.

A task owns its networks and says what a step does; everything a task decides at random is a function of (seed, epoch,
step), so after a crash the loop continues at the very step it stopped at and ends with the same weights.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

from torch import Tensor

from noisyclean.base.log import Reporter
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.distributed import Share
from noisyclean.errors import Interrupted, NoisycleanError

__all__ = ["Task", "fit"]

STEPS_BETWEEN_CHECKS = 50
"""The loop looks at the loss this often: each look makes an accelerator wait."""


class Task(Protocol):
    """Something that is trained: SimCLR, the probe, every robust method."""

    def num_steps(self, epoch: int) -> int:
        """Steps of an epoch; may depend on what :meth:`begin_epoch` decided."""

    def begin_epoch(self, epoch: int) -> None:
        """Called once before an epoch's first step; what it decides belongs to :meth:`state_dict`."""

    def step(self, epoch: int, step: int) -> Mapping[str, Tensor]:
        """One optimiser step; returns scalars on the device, which the next may write over, and waits for none."""

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Called once after an epoch's last step; returns figures worth telling."""

    def state_dict(self) -> dict[str, Any]:
        """All that a later process needs to continue: tensors, numbers, texts, lists and dicts of them."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""


@dataclass
class _Position:
    epoch: int = 0
    step: int = 0
    recent: dict[str, Tensor] = field(default_factory=dict)
    """The newest figure of each name that the epoch's steps told: of several nets each tells its own."""
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    task: Task,
    *,
    title: str,
    num_epochs: int,
    checkpoint: Checkpoint,
    reporter: Reporter,
    after_epoch: Callable[[list[dict[str, float]]], None] | None = None,
) -> list[dict[str, float]]:
    """Train a task to its end, continuing from the checkpoint where there is one.

    Args:
        task: What to train.
        title: Its name on the progress bar.
        num_epochs: Epochs in all.
        checkpoint: Where its state is kept.
        reporter: Hears about the progress.
        after_epoch: Called after each epoch with the figures of all epochs so far.

    Returns:
        One dict of figures for each epoch.

    Raises:
        NoisycleanError: The loss is not finite any more.
        Interrupted: The user stopped it; the state is saved.
    """
    at = _restore(task, checkpoint)
    total = num_epochs * max(task.num_steps(at.epoch), 1)
    done = at.epoch * max(task.num_steps(at.epoch), 1) + at.step
    with reporter.track(title, total=total, done=done, unit="steps") as meter, _deferred_interrupt() as stop:
        while at.epoch < num_epochs:
            if at.step == 0:
                task.begin_epoch(at.epoch)
            for step in range(at.step, task.num_steps(at.epoch)):
                at.recent |= {name: value.detach().clone() for name, value in task.step(at.epoch, step).items()}
                at.step = step + 1
                meter.advance()
                if at.step % STEPS_BETWEEN_CHECKS == 0:
                    _require_finite(title, at)
                if stop.is_set() or checkpoint.is_due():
                    _require_finite(title, at)
                    checkpoint.save(_saved(task, at))
                if stop.is_set():
                    raise Interrupted(f"{title} stopped in epoch {at.epoch + 1}", hint="The same command continues.")
            _require_finite(title, at)
            figures = {name: float(value) for name, value in at.recent.items()} | dict(task.end_epoch(at.epoch))
            at = _Position(at.epoch + 1, history=[*at.history, figures])
            if after_epoch is not None:
                after_epoch(at.history)
            meter.advance(0, ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return at.history


def _restore(task: Task, checkpoint: Checkpoint) -> _Position:
    saved = checkpoint.load()
    if saved is None:
        return _Position()
    task.load_state_dict(saved["task"])
    return _Position(**saved["position"])


def _saved(task: Task, at: _Position) -> dict[str, Any]:
    return {"task": task.state_dict(), "position": vars(at)}


def _require_finite(title: str, at: _Position) -> None:
    for name, value in at.recent.items():
        if not math.isfinite(float(value)):
            raise NoisycleanError(
                f"{title}: {name} became {float(value)} in epoch {at.epoch + 1}, step {at.step}",
                hint="A lower learning rate usually helps: --set probe.lr=0.03, or robust.lr, or simclr.lr.",
            )


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event the loop looks at between steps; a second one stops at once.

    Of several processes the first alone listens: the others end when it does.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread() or Share.current().rank > 0:
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            before[number](number, frame) if callable(before[number]) else signal.default_int_handler(number, frame)
        stop.set()

    before: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
