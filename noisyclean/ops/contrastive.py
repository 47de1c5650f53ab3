"""Contrastive losses."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["contrastive_sets", "interpolated_contrastive", "nt_xent", "spread"]


def nt_xent(z_VBD: Tensor, *, temperature: float, rows: range | None = None) -> Tensor:
    """SimCLR's loss: each view must find every other view of its image among all views of other images.

    Of two views NT-Xent, https://arxiv.org/abs/2002.05709, equation 1; of more its mean over all pairs of views of an
    image, which are in no other pair's denominator: ``mean over views i and other views p of its image of
    -log( exp(s_ip / T) / (exp(s_ip / T) + sum over views k of other images of exp(s_ik / T)) )``, in float32.

    Args:
        z_VBD: Embeddings of V views of each image, at least two; L2-normalised.
        temperature: T, positive.
        rows: Neighbouring images whose loss is taken, among all; all by default. Processes that share a batch take
            theirs; the mean over processes is then the loss of the whole batch.

    Returns:
        A scalar; log(1 + V (B - 1)) when all embeddings are equal.
    """
    num_views, batch = z_VBD.shape[:2]
    rows = range(batch) if rows is None else rows
    z_VBD = z_VBD.float()
    own_VRD = z_VBD[:, rows.start : rows.stop]
    similarity = own_VRD.flatten(0, 1) @ z_VBD.flatten(0, 1).T / temperature
    similarity_VRVB = similarity.view(num_views, len(rows), num_views, batch)
    image_B = torch.arange(batch, device=z_VBD.device)
    is_same_R1B = image_B[rows.start : rows.stop, None, None] == image_B
    others_VR = similarity_VRVB.masked_fill(is_same_R1B, -torch.inf).flatten(2).logsumexp(dim=2)
    same_VRV = similarity_VRVB.diagonal(rows.start, dim1=1, dim2=3).movedim(-1, 1)
    loss_VRV = torch.nn.functional.softplus(others_VR[..., None] - same_VRV)
    mean_VV = loss_VRV.mean(dim=1)
    return (mean_VV.sum() - mean_VV.trace()) / (num_views * (num_views - 1))


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
