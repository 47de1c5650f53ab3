"""What neighbours say about a label."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "MOST_AGAINST",
    "MOST_DISAGREEMENT",
    "bounded_num_neighbours",
    "disagreement",
    "two_pass_votes",
    "vote_against",
    "votes",
]

FLOOR = 1e-2
"""Smallest share of votes counted: keeps an absent class finite."""
TIE_BREAK = 1e-3
"""Weight of the first vote in a disagreement: second votes are counts, and counts tie."""
MOST_AGAINST = -math.log(FLOOR)
"""Largest vote against a label, in nats."""
MOST_DISAGREEMENT = (1 + TIE_BREAK) * MOST_AGAINST
"""Largest disagreement with a label, in nats."""


def bounded_num_neighbours(wanted: int, class_sizes_C: Tensor) -> int:
    """K that no class is too small for: at most half the median size of the classes that occur.

    MOIT's k of 250 is meant for 500 to 5,000 images a class.
    """
    sizes = class_sizes_C[class_sizes_C > 0]
    return max(1, min(wanted, int(sizes.median()) // 2, int(sizes.sum()) - 1))


def votes(index_NK: Tensor, label_N: Tensor, num_classes: int, *, valid_NK: Tensor | None = None) -> Tensor:
    """Share of each class among a sample's neighbours.

    Args:
        index_NK: Neighbours' row numbers.
        label_N: The labels they vote with.
        num_classes: C.
        valid_NK: False where there is no neighbour.

    Returns:
        p_NC; rows sum to 1, uniform where a sample has no neighbour at all.
    """
    ballot_NK = torch.ones_like(index_NK, dtype=torch.float32) if valid_NK is None else valid_NK.float()
    count_NC = ballot_NK.new_zeros(len(index_NK), num_classes).scatter_add_(1, label_N[index_NK], ballot_NK)
    total_N1 = count_NC.sum(dim=1, keepdim=True)
    return torch.where(total_N1 > 0, count_NC / total_N1.clamp(min=1), 1 / num_classes)


def two_pass_votes(
    index_NK: Tensor, label_N: Tensor, num_classes: int, *, valid_NK: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """MOIT's soft labels: neighbours vote, every label is corrected to its majority, and they vote again.

    Noise detection of https://arxiv.org/abs/2012.04462.

    Returns:
        The first votes and the second, each (N, C).
    """
    first_NC = votes(index_NK, label_N, num_classes, valid_NK=valid_NK)
    return first_NC, votes(index_NK, first_NC.argmax(dim=1), num_classes, valid_NK=valid_NK)


def vote_against(p_NC: Tensor, label_N: Tensor, *, floor: float = FLOOR) -> Tensor:
    """How strongly a sample's neighbours vote against its label.

    MOIT, https://arxiv.org/abs/2012.04462: cross-entropy of the given label under the neighbours' votes.

    Args:
        p_NC: Neighbour votes; rows sum to 1.
        label_N: Given class indices in [0, C).
        floor: Smallest vote counted, in (0, 1).

    Returns:
        d_N in [0, -log(floor)]; 0 when all neighbours agree.

    Deviations: the published code also clamps at 0.99; we do not, so full agreement is exactly 0.
    """
    vote_N = p_NC.gather(1, label_N[:, None]).squeeze(1)
    return 0 - vote_N.clamp(min=floor).log()  # not -0 for full agreement


def disagreement(first_NC: Tensor, second_NC: Tensor, label_N: Tensor) -> Tensor:
    """How strongly a sample's neighbours disagree with its label, after both of MOIT's votes.

    MOIT, https://arxiv.org/abs/2012.04462: the second votes' cross-entropy of the given label.

    Args:
        first_NC: First votes; rows sum to 1.
        second_NC: Second votes, of corrected labels; rows sum to 1.
        label_N: Given class indices in [0, C).

    Returns:
        d_N in [0, :data:`MOST_DISAGREEMENT`], in nats.

    Deviations: ties of the second vote are broken by the first, where the published code leaves their order to chance.
    """
    return vote_against(second_NC, label_N) + TIE_BREAK * vote_against(first_NC, label_N)
