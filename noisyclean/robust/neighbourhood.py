"""MOIT's noise detection: whose neighbours vote for its label, balanced over the classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noisyclean.engine.neighbours import nearest_neighbours
from noisyclean.ops.knn import bounded_num_neighbours, disagreement, two_pass_votes
from noisyclean.ops.selection import Balance, agreeing_and_balanced
from noisyclean.robust.method import TrainingData

__all__ = ["Neighbourhood", "ask_neighbours", "vote_of_neighbours"]

MOST_NEIGHBOURS = 250
"""MOIT's k."""


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """What every image's neighbours say."""

    disagreement_N: Tensor
    """Cross-entropy of the given label under their votes, in nats; 0 for rows that were not asked."""
    is_believed_N: Tensor
    """The labels to train on, class-balanced; False for rows that were not asked."""
    p_NC: Tensor
    """The net's own guess."""

    def written_over(self, earlier: Neighbourhood | None) -> Neighbourhood:
        """The same where an earlier one was: a replayed step reads it there."""
        if earlier is None:
            return self
        for name, value in vars(self).items():
            getattr(earlier, name).copy_(value)
        return earlier


def ask_neighbours(
    z_ND: Tensor, p_NC: Tensor, data: TrainingData, rows_R: Tensor, *, num_neighbours: int, balance: Balance
) -> Neighbourhood:
    """Vote twice, and choose the labels to train on; https://arxiv.org/abs/2012.04462, noise detection.

    Args:
        z_ND: Embeddings, L2-normalised rows.
        p_NC: The net's own guess, carried along.
        data: Labels and groups.
        rows_R: Rows that vote and are voted on: those trained on, lest held-out labels steer the training.
        num_neighbours: k, cut to half the median class size.
        balance: How many of each class are chosen.

    Deviations: ties of the second vote are broken by the first; labels that a person verified are always believed.
    """
    label_R, verified_R = data.label_N[rows_R], data.verified_N[rows_R]
    k = bounded_num_neighbours(num_neighbours, torch.bincount(label_R, minlength=data.num_classes))
    group_R = None if data.group_N is None else data.group_N[rows_R]
    index_RK, similarity_RK = nearest_neighbours(z_ND[rows_R], num_neighbours=k, group_N=group_R)
    first_RC, second_RC = two_pass_votes(index_RK, label_R, data.num_classes, valid_NK=similarity_RK.isfinite())
    disagreement_R = disagreement(first_RC, second_RC, label_R)
    chosen_R = agreeing_and_balanced(
        torch.where(verified_R, -1.0, disagreement_R),
        second_RC.argmax(dim=1) == label_R,
        label_R,
        data.num_classes,
        balance=balance,
    )
    disagreement_N = torch.zeros(len(z_ND), device=z_ND.device)
    disagreement_N[rows_R] = disagreement_R
    is_believed_N = torch.zeros_like(data.verified_N)
    is_believed_N[rows_R] = chosen_R | verified_R
    return Neighbourhood(disagreement_N=disagreement_N, is_believed_N=is_believed_N, p_NC=p_NC)


def vote_of_neighbours(z_TD: Tensor, data: TrainingData, *, num_neighbours: int = MOST_NEIGHBOURS) -> Tensor:
    """Second votes of the rows trained on, shape (T, C); MOIT's two passes, see :func:`ask_neighbours`.

    Args:
        z_TD: Embeddings of those rows, L2-normalised.
        data: Labels and groups.
        num_neighbours: k, cut to half the median class size.
    """
    label_T = data.label_N[data.train_T]
    k = bounded_num_neighbours(num_neighbours, torch.bincount(label_T, minlength=data.num_classes))
    group_T = None if data.group_N is None else data.group_N[data.train_T]
    index_TK, similarity_TK = nearest_neighbours(z_TD, num_neighbours=k, group_N=group_T)
    return two_pass_votes(index_TK, label_T, data.num_classes, valid_NK=similarity_TK.isfinite())[1]
