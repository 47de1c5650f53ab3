"""Margin of a closed-form classifier that never saw the label it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from noisyclean.detect.signal import signals, squash
from noisyclean.ops.pooling import margins
from noisyclean.types import Evidence, SignalScore

__all__ = ["OutsideMargin"]


@signals.register("outside_margin")
@dataclass(frozen=True, kw_only=True)
class OutsideMargin:
    """Log-odds of the best other class against the given one, in nats, by a ridge classifier fitted without the sample.

    Exact leave-one-out predictions on label-free features: weaker than a trained net, but it cannot have memorised.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"outside_log_p_NC"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.outside_log_p_NC is not None
        raw_N = -margins(np.asarray(evidence.outside_log_p_NC, dtype=np.float64), evidence.label_N)
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
