"""Exact nearest neighbours, block by block: memory O(block x N) whatever N is."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["nearest_neighbours", "neighbours_among"]

BLOCK_BYTES = 64 * 2**20
"""Size of the block of similarities held at a time."""


def nearest_neighbours(z_ND: Tensor, *, num_neighbours: int, group_N: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k most similar other samples of each sample.

    Args:
        z_ND: L2-normalised embeddings.
        num_neighbours: k, below N.
        group_N: Samples of one group are not each other's neighbours; a sample is never its own.

    Returns:
        Indices (N, k), nearest first, and their cosine similarities; -inf marks places that could not be filled.
    """
    num = len(z_ND)
    block = max(1, BLOCK_BYTES // (4 * num))
    group_N = torch.arange(num, device=z_ND.device) if group_N is None else group_N
    index_NK = torch.empty(num, num_neighbours, dtype=torch.int64, device=z_ND.device)
    similarity_NK = torch.empty(num, num_neighbours, device=z_ND.device)
    for start in range(0, num, block):
        rows = slice(start, start + block)
        similarity_BN = z_ND[rows] @ z_ND.T
        similarity_BN.masked_fill_(group_N[rows, None] == group_N[None], -torch.inf)
        similarity_NK[rows], index_NK[rows] = similarity_BN.topk(num_neighbours, dim=1)
    return index_NK, similarity_NK


def neighbours_among(
    z_MD: Tensor, reference_ND: Tensor, *, num_neighbours: int, own_row_M: Tensor | None = None
) -> Tensor:
    """The k most similar reference samples of each of some other samples, nearest first, shape (M, k).

    Args:
        z_MD: L2-normalised embeddings.
        reference_ND: Those that can be neighbours.
        num_neighbours: k, below N.
        own_row_M: Where a sample is itself in the reference; it is not its own neighbour.
    """
    block = max(1, BLOCK_BYTES // (4 * len(reference_ND)))
    parts: list[Tensor] = []
    for start in range(0, len(z_MD), block):
        similarity_BN = z_MD[start : start + block] @ reference_ND.T
        if own_row_M is not None:
            similarity_BN.scatter_(1, own_row_M[start : start + block, None], -torch.inf)
        parts.append(similarity_BN.topk(num_neighbours, dim=1).indices)
    return torch.cat(parts)
