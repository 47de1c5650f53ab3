"""Training-averaged margin: by how much the net prefers another class, averaged over recordings and nets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from noisyclean.detect.signal import signals, squash
from noisyclean.types import Evidence, SignalScore

__all__ = ["LogitMargin"]


@signals.register("logit_margin")
@dataclass(frozen=True, kw_only=True)
class LogitMargin:
    """Log-odds of the best other class against the given one, in nats, averaged over the training.

    Area under the margin (https://arxiv.org/abs/2001.10528) in the form found best by https://arxiv.org/abs/2510.16211.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"margin_EN"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.margin_EN is not None
        raw_N = -evidence.margin_EN.mean(axis=0, dtype="float64")
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
