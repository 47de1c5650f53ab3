"""Neighbours that vote against the given label: MOIT's two-pass detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from noisyclean.detect.signal import signals
from noisyclean.ops.knn import MOST_DISAGREEMENT, disagreement
from noisyclean.types import Evidence, SignalScore

__all__ = ["KnnDisagreement"]


@signals.register("knn_disagreement")
@dataclass(frozen=True, kw_only=True)
class KnnDisagreement:
    """Cross-entropy of the given label under the neighbours' second vote (MOIT, https://arxiv.org/abs/2012.04462)."""

    needs: ClassVar[frozenset[str]] = frozenset({"votes_NC", "second_votes_NC"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:
        """Score every sample."""
        first_NC = torch.as_tensor(evidence.votes_NC, device=device)
        second_NC = torch.as_tensor(evidence.second_votes_NC, device=device)
        raw_N = disagreement(first_NC, second_NC, torch.from_numpy(evidence.label_N).to(device)).double().cpu().numpy()
        return SignalScore(raw_N=raw_N, suspicion_N=np.minimum(raw_N / MOST_DISAGREEMENT, 1))
