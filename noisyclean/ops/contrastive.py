"""Contrastive losses."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["nt_xent", "spread"]


def nt_xent(z1_BD: Tensor, z2_BD: Tensor, *, temperature: float) -> Tensor:
    """SimCLR's loss: each view must find its other view among all views of the batch.

    NT-Xent, https://arxiv.org/abs/2002.05709, equation 1:
    ``mean over i of -log( exp(s_i,pos(i) / T) / sum over k != i of exp(s_ik / T) )``, computed in float32.

    Args:
        z1_BD: First views' embeddings, L2-normalised rows; row i is the same image as row i of ``z2_BD``.
        z2_BD: Second views' embeddings.
        temperature: T, positive.

    Returns:
        A scalar; log(2B - 1) when all embeddings are equal.
    """
    z_D = torch.cat([z1_BD, z2_BD]).float()
    similarity = (z_D @ z_D.T) / temperature
    similarity = similarity.masked_fill(torch.eye(len(z_D), dtype=torch.bool, device=z_D.device), -torch.inf)
    positive = torch.arange(len(z_D), device=z_D.device).roll(len(z1_BD))
    return torch.nn.functional.cross_entropy(similarity, positive)


def spread(z_ND: Tensor) -> Tensor:
    """Spread of L2-normalised embeddings, 1 for a uniform sphere and 0 after collapse.

    Mean over dimensions of the standard deviation, times sqrt(D); https://arxiv.org/abs/2011.10566, section 4.1.
    """
    mean_deviation: Tensor = z_ND.float().std(dim=0).mean()
    return mean_deviation * float(z_ND.shape[1] ** 0.5)
