"""Neighbours that vote against the given label: MOIT's two-pass detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from noisyclean.detect.signal import signals
from noisyclean.engine.team import shared_neighbours
from noisyclean.ops.knn import MOST_DISAGREEMENT, bounded_num_neighbours, disagreement, two_pass_votes
from noisyclean.types import Evidence, SignalScore

__all__ = ["KnnDisagreement"]


@signals.register("knn_disagreement")
@dataclass(frozen=True, kw_only=True)
class KnnDisagreement:
    """Cross-entropy of the given label under the neighbours' second vote (MOIT, https://arxiv.org/abs/2012.04462).

    Neighbours of the same group do not vote. k is bounded by half the median class size.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"z_ND"})
    num_neighbours: int = 50

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:
        """Score every sample."""
        assert evidence.z_ND is not None
        label_N = torch.from_numpy(evidence.label_N).to(device)
        k = bounded_num_neighbours(self.num_neighbours, torch.bincount(label_N))
        group_N = None if evidence.group_N is None else torch.from_numpy(evidence.group_N).to(device)
        z_ND = torch.as_tensor(evidence.z_ND, dtype=torch.float32, device=device)
        index_NK, similarity_NK = shared_neighbours(z_ND, num_neighbours=k, group_N=group_N)
        first_NC, second_NC = two_pass_votes(index_NK, label_N, evidence.num_classes, valid_NK=similarity_NK.isfinite())
        raw_N = disagreement(first_NC, second_NC, label_N).double().cpu().numpy()
        return SignalScore(raw_N=raw_N, suspicion_N=np.minimum(raw_N / MOST_DISAGREEMENT, 1))
