"""Neighbours in a robust training's own embedding that vote against the given label: MOIT's agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from noisyclean.detect.signal import signals, squash
from noisyclean.types import Evidence, SignalScore

__all__ = ["TrainedNeighbours"]


@signals.register("trained_neighbours")
@dataclass(frozen=True, kw_only=True)
class TrainedNeighbours:
    """Disagreement of the neighbours in MOIT's projection, learnt with the labels (https://arxiv.org/abs/2012.04462)."""

    needs: ClassVar[frozenset[str]] = frozenset({"neighbour_disagreement_N"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.neighbour_disagreement_N is not None
        raw_N = evidence.neighbour_disagreement_N.astype("float64")
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
