"""Contrastive losses."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["contrastive_sets", "interpolated_contrastive", "nt_xent", "spread"]


def nt_xent(z1_BD: Tensor, z2_BD: Tensor, *, temperature: float, rows: range | None = None) -> Tensor:
    """SimCLR's loss: each view must find its other view among all views of the batch.

    NT-Xent, https://arxiv.org/abs/2002.05709, equation 1:
    ``mean over i of -log( exp(s_i,pos(i) / T) / sum over k != i of exp(s_ik / T) )``, computed in float32.

    Args:
        z1_BD: First views' embeddings, L2-normalised rows; row i is the same image as row i of ``z2_BD``.
        z2_BD: Second views' embeddings.
        temperature: T, positive.
        rows: Neighbouring images whose loss is taken, among all; all by default. Processes that share a batch take
            theirs; the mean over processes is then the loss of the whole batch.

    Returns:
        A scalar; log(2B - 1) when all embeddings are equal.
    """
    rows = range(len(z1_BD)) if rows is None else rows
    z_D = torch.cat([z1_BD, z2_BD]).float()
    own = torch.arange(rows.start, rows.stop, device=z_D.device)
    own = torch.cat([own, own + len(z1_BD)])
    own_D = z_D if len(own) == len(z_D) else z_D[own]
    similarity = ((own_D @ z_D.T) / temperature).scatter(1, own[:, None], -torch.inf)
    return torch.nn.functional.cross_entropy(similarity, (own + len(z1_BD)) % len(z_D))


def contrastive_sets(
    dominant_B: Tensor, minor_B: Tensor, column_M: Tensor, is_self_BM: Tensor, partner_BM: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """MOIT's positives of every row, as how often each column is counted.

    Interpolated contrastive learning, https://arxiv.org/abs/2012.04462. P1 are the columns of the row's
    dominant label, the other view among them; P2 those of its minor label, and once more the views of the very image it
    was mixed with.

    Args:
        dominant_B: Label of the larger share of each mixed image.
        minor_B: Label of the smaller share.
        column_M: Dominant label of each column; -1 where a memory holds nothing yet.
        is_self_BM: Where a column is the row itself; never a positive.
        partner_BM: Where a column is a view of the row's mixing partner; None where that is not known.

    Returns:
        Counts of P1 and of P2, each float32 of shape (B, M).
    """
    other_BM = ~is_self_BM
    first_BM = (dominant_B[:, None] == column_M[None]) & other_BM
    second_BM = ((minor_B[:, None] == column_M[None]) & other_BM).float()
    if partner_BM is not None:
        second_BM = second_BM + (partner_BM & other_BM).float()
    return first_BM.float(), second_BM


def interpolated_contrastive(
    z_BD: Tensor,
    column_MD: Tensor,
    first_BM: Tensor,
    second_BM: Tensor,
    share_B: Tensor,
    *,
    hidden_BM: Tensor,
    temperature: float,
) -> Tensor:
    """Pull each mixed image towards the classes of both its parts, by their shares.

    ICL, https://arxiv.org/abs/2012.04462:
    ``mean over i of - l_i mean_P1 log p_ij - (1 - l_i) mean_P2 log p_ij`` with
    ``p_ij = exp(s_ij / T) / sum over visible k of exp(s_ik / T)``, computed in float32.

    Args:
        z_BD: Embeddings of the rows, L2-normalised.
        column_MD: Embeddings they are compared with: the same rows, or a memory.
        first_BM: How often each column counts as a positive of the dominant label.
        second_BM: The same of the minor label.
        share_B: l, share of the dominant image, in [0.5, 1].
        hidden_BM: Columns left out of the denominator: the row itself, and places of a memory that are still empty.
        temperature: T, positive.

    Deviations: a row without any positive of a kind contributes 0 for it.
    """
    similarity_BM = (z_BD.float() @ column_MD.float().T) / temperature
    log_p_BM = similarity_BM.masked_fill(hidden_BM, -torch.inf).log_softmax(dim=1)
    log_p_BM = log_p_BM.masked_fill(hidden_BM, 0)

    def mean_over(count_BM: Tensor) -> Tensor:
        return (count_BM * log_p_BM).sum(dim=1) / count_BM.sum(dim=1).clamp(min=1)

    return -(share_B * mean_over(first_BM) + (1 - share_B) * mean_over(second_BM)).mean()


def spread(z_ND: Tensor) -> Tensor:
    """Spread of L2-normalised embeddings, 1 for a uniform sphere and 0 after collapse.

    Mean over dimensions of the standard deviation, times sqrt(D); https://arxiv.org/abs/2011.10566, section 4.1.
    """
    mean_deviation: Tensor = z_ND.float().std(dim=0).mean()
    return mean_deviation * float(z_ND.shape[1] ** 0.5)
