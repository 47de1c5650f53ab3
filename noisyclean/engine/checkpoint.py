"""Checkpoints by time: tensors and plain values, written whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from noisyclean.base.files import atomic_path
from noisyclean.engine.distributed import Share

__all__ = ["Checkpoint"]

PAUSES = 30
"""Between two writes pass at least so many times what the last one took, so that they cost 3 % at most."""


class Checkpoint:
    """One file that holds the latest state of a training.

    Args:
        path: The file; None keeps nothing, for trainings of seconds.
        every_s: Least number of seconds between two writes; ``NOISYCLEAN_CHECKPOINT_S``, else 20, by default. 0 writes
            whenever it is asked, whatever that costs.

    Of several processes all read the file and the first alone writes it.
    """

    def __init__(self, path: Path | None, *, every_s: float | None = None) -> None:
        self.path = path
        self.every_s = float(os.environ.get("NOISYCLEAN_CHECKPOINT_S", "20")) if every_s is None else every_s
        self._writes = path is not None and Share.current().rank == 0
        self._last_s, self._wait_s = time.monotonic(), self.every_s

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return self._writes and time.monotonic() - self._last_s >= self._wait_s

    def save(self, state: dict[str, Any]) -> None:
        """Write the state atomically."""
        if self.path is None or not self._writes:
            return
        start_s = time.monotonic()
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)
        self._last_s = time.monotonic()
        if self.every_s > 0:
            self._wait_s = max(self.every_s, PAUSES * (self._last_s - start_s))

    def discard(self) -> None:
        """Delete the file: the training is over and its results are written."""
        if self.path is not None and self._writes:
            self.path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The state last written, on the CPU, or None."""
        if self.path is None or not self.path.exists():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        return state
