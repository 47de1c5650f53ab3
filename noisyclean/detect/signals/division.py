"""Division of a robust training: how surely its nets put the label among the wrong ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from noisyclean.detect.signal import signals, squash
from noisyclean.types import Evidence, SignalScore

__all__ = ["DivisionSignal"]


@signals.register("division")
@dataclass(frozen=True, kw_only=True)
class DivisionSignal:
    """Log-odds that the label is wrong, by DivideMix's division, averaged over its nets.

    Co-divide posterior, https://arxiv.org/abs/2002.07394, section 3.1.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"division_N"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.division_N is not None
        raw_N = evidence.division_N.astype("float64")
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
