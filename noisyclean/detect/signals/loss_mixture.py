"""Two-component mixture on the losses: the component with the larger mean is the noisy one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from noisyclean.detect.signal import signals, squash
from noisyclean.ops.mixture import fit_two_components
from noisyclean.types import Evidence, SignalScore

__all__ = ["LossMixture"]


@signals.register("loss_mixture")
@dataclass(frozen=True, kw_only=True)
class LossMixture:
    """Log-odds of the high-loss component of DivideMix's mixture (https://arxiv.org/abs/2002.07394, section 3.1).

    Where the losses have no two bumps it falls back to the loss itself, and says so.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"loss_EN"})
    seed: int = 0

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.loss_EN is not None
        loss_N = evidence.loss_EN.mean(axis=0, dtype="float64")
        mixture = fit_two_components(loss_N, seed=self.seed)
        if mixture is None:
            return _plain(loss_N, "all losses are equal")
        if not mixture.is_separated:
            return _plain(loss_N, mixture.reason)
        raw_N = mixture.log_odds_high(loss_N)
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))


def _plain(loss_N: np.ndarray, reason: str) -> SignalScore:
    raw_N = loss_N - np.median(loss_N)
    note = f"loss_mixture: {reason}; the loss itself is the score"
    return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N), notes=(note,))
