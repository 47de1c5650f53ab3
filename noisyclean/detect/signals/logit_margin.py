"""Margin of the trained nets: by how much they prefer another class to the given one."""

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
    """Log-odds of the best other class against the given one, in nats, by the trained nets.

    The mean over nets and recordings. An audit records each net once, after its last epoch, because margins averaged
    over the epochs (area under the margin, https://arxiv.org/abs/2001.10528) found fewer errors; a robust training
    records four times over its second half.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"margin_EN"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.margin_EN is not None
        raw_N = -evidence.margin_EN.mean(axis=0, dtype="float64")
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
