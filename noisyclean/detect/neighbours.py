"""What the neighbours of every image say about its label, asked once and read by all who want to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from noisyclean.engine.team import shared_neighbours
from noisyclean.ops.knn import bounded_num_neighbours, two_pass_votes
from noisyclean.types import Evidence, FloatArray

__all__ = ["opinion_of_votes", "with_votes"]

SPREAD = 0.2
"""Votes that are spread over all classes, in units of all that were cast: a class nobody voted for is not ruled out."""


def with_votes(evidence: Evidence, *, num_neighbours: int, device: torch.device) -> Evidence:
    """The evidence with what neighbours vote on every label, twice, as MOIT has them (https://arxiv.org/abs/2012.04462).

    Neighbours of the same group do not vote.

    Args:
        evidence: Returned as it is where there are no embeddings.
        num_neighbours: k, bounded by half the median class size.
        device: Where neighbours are looked for.
    """
    if evidence.z_ND is None:
        return evidence
    label_N = torch.from_numpy(evidence.label_N).to(device)
    k = bounded_num_neighbours(num_neighbours, torch.bincount(label_N))
    group_N = None if evidence.group_N is None else torch.from_numpy(evidence.group_N).to(device)
    z_ND = torch.as_tensor(evidence.z_ND, dtype=torch.float32, device=device)
    index_NK, similarity_NK = shared_neighbours(z_ND, num_neighbours=k, group_N=group_N)
    first_NC, second_NC = two_pass_votes(index_NK, label_N, evidence.num_classes, valid_NK=similarity_NK.isfinite())
    return replace(evidence, votes_NC=first_NC.cpu().numpy(), second_votes_NC=second_NC.cpu().numpy())


def opinion_of_votes(votes_NC: FloatArray) -> FloatArray:
    """Log class probabilities from shares of votes, shape (N, C), float64."""
    opinion_NC: FloatArray = np.log((votes_NC.astype(np.float64) + SPREAD / votes_NC.shape[1]) / (1 + SPREAD))
    return opinion_NC
