"""Curves for TensorBoard while a training runs; an extra that nothing depends on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from noisyclean.errors import EnvironmentProblem

__all__ = ["require_tensorboard", "tensorboard_writer"]


def require_tensorboard() -> None:
    """Refuse before any work where it is not installed.

    Raises:
        EnvironmentProblem: It is not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise EnvironmentProblem("--tensorboard needs tensorboard", hint="pip install 'noisyclean[tensorboard]'")


def tensorboard_writer(folder: Path) -> Callable[[Sequence[Mapping[str, float]]], None]:
    """A function that writes the latest epoch of a history; epochs that a crash made twice are shown once.

    Args:
        folder: Where event files go.
    """
    from torch.utils.tensorboard import SummaryWriter

    writers: list[SummaryWriter] = []

    def write(history: Sequence[Mapping[str, float]]) -> None:
        if not writers:
            writers.append(SummaryWriter(str(folder), purge_step=len(history)))
        for name, value in history[-1].items():
            writers[0].add_scalar(name, value, len(history))
        writers[0].flush()

    return write
