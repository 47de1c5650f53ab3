"""What a signal is: one opinion on every label, read off the evidence."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import torch

from noisyclean.registry import Registry
from noisyclean.types import Evidence, FloatArray, SignalScore

__all__ = ["Signal", "signals", "squash"]


class Signal(Protocol):
    """A frozen dataclass whose fields are its options."""

    needs: ClassVar[frozenset[str]]
    """Names of the evidence it reads."""

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:
        """Score every sample; higher is worse."""


signals: Registry[type[Signal]] = Registry(
    "signal", package="noisyclean.detect.signals", entry_points="noisyclean.signals"
)


def squash(raw_N: FloatArray) -> FloatArray:
    """Map the real line to (0, 1) by ``(1 + x / (1 + |x|)) / 2``: strictly monotone also where a sigmoid would tie."""
    raw_N = raw_N.astype(np.float64)
    squashed: FloatArray = 0.5 * (1 + raw_N / (1 + np.abs(raw_N)))
    return squashed
