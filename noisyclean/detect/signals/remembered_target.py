"""Early-learning targets of a robust training: what the nets remember the image to be, against its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from noisyclean.detect.signal import signals, squash
from noisyclean.types import Evidence, SignalScore

__all__ = ["RememberedTarget"]

FLOOR = 1e-6


@signals.register("remembered_target")
@dataclass(frozen=True, kw_only=True)
class RememberedTarget:
    """Log-odds of the best other class against the given one, in ELR's running targets.

    https://arxiv.org/abs/2007.00151; its authors find wrong labels where the target's largest class is another one.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target_NC"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.target_NC is not None
        rows = np.arange(len(evidence.label_N))
        target_NC = evidence.target_NC.astype(np.float64)
        given_N = target_NC[rows, evidence.label_N]
        others_NC = target_NC.copy()
        others_NC[rows, evidence.label_N] = 0
        raw_N = np.log(others_NC.max(axis=1) + FLOOR) - np.log(given_N + FLOOR)
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
