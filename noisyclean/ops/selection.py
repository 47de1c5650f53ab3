"""Which labels to train on: balanced over classes, and never none."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "Balance",
    "agreeing_and_balanced",
    "class_prior",
    "is_asymmetric",
    "lowest_per_class",
    "with_class_floor",
]

LEAST_DISAGREEING = 5
"""Labels of a predicted class that disagree, from which their commonest says something."""

Balance = Literal["median", "min", "max", "none"]


def lowest_per_class(score_N: Tensor, label_N: Tensor, quota_C: Tensor) -> Tensor:
    """Of each class, the samples with the smallest score: as many as its quota, or all.

    Equal scores are taken in the order of the samples.

    Args:
        score_N: Smaller is chosen first.
        label_N: Class of each sample.
        quota_C: How many of each class.

    Returns:
        Boolean mask of shape (N,).
    """
    order_N = score_N.argsort(stable=True)
    order_N = order_N[label_N[order_N].argsort(stable=True)]
    sorted_label_N = label_N[order_N]
    size_C = torch.bincount(label_N, minlength=len(quota_C))
    first_C = size_C.cumsum(0) - size_C
    place_N = torch.arange(len(label_N), device=label_N.device) - first_C[sorted_label_N]
    chosen_N = torch.zeros_like(label_N, dtype=torch.bool)
    chosen_N[order_N] = place_N < quota_C[sorted_label_N]
    return chosen_N


def agreeing_and_balanced(
    disagreement_N: Tensor, agrees_N: Tensor, label_N: Tensor, num_classes: int, *, balance: Balance = "median"
) -> Tensor:
    """MOIT's clean set: the same number of every class, those the neighbours disagree with least.

    https://arxiv.org/abs/2012.04462. The number is the lower median over the classes of how many samples
    agree, so a class with fewer is topped up with samples the vote disagrees with and one with more is cut.

    Args:
        disagreement_N: Smaller is better; ties should be broken by the caller.
        agrees_N: Whether the vote is for the given label.
        label_N: Given labels.
        num_classes: C.
        balance: ``median``, ``min`` or ``max`` of the classes that occur; ``none`` keeps the samples that agree.

    Returns:
        Boolean mask of shape (N,), with at least one sample of each class that occurs unless ``balance`` is ``none``.

    Deviations: the published code takes the median over all classes, empty ones too, and may choose nothing.
    """
    if balance == "none":
        return agrees_N.clone()
    size_C = torch.bincount(label_N, minlength=num_classes)
    agreeing_C = torch.bincount(label_N[agrees_N], minlength=num_classes)[size_C > 0]
    count = {"median": agreeing_C.median, "min": agreeing_C.min, "max": agreeing_C.max}[balance]()
    return lowest_per_class(disagreement_N, label_N, size_C.clamp(max=int(count.clamp(min=1))))


def with_class_floor(chosen_N: Tensor, p_clean_N: Tensor, label_N: Tensor, num_classes: int, *, share: float) -> Tensor:
    """Add the likeliest samples of classes of which too few were chosen.

    Guards DivideMix against an empty labelled set and against forgetting a class (its issue 49;
    https://arxiv.org/abs/2203.14542 balances for the same reason).

    Args:
        chosen_N: What the threshold chose.
        p_clean_N: Probability that each label is clean.
        label_N: Given labels.
        num_classes: C.
        share: Least share of each class, in [0, 1]; one sample at least.
    """
    size_C = torch.bincount(label_N, minlength=num_classes)
    least_C = torch.minimum(size_C, (size_C * share).ceil().long().clamp(min=1))
    return chosen_N | lowest_per_class(-p_clean_N, label_N, least_C)


def class_prior(label_N: Tensor, weight_N: Tensor, num_classes: int) -> Tensor:
    """Class frequencies among the labels that are believed, smoothed by one sample a class; sums to 1.

    Args:
        label_N: Given labels.
        weight_N: How far each is believed, in [0, 1].
        num_classes: C.
    """
    count_C = torch.zeros(num_classes, device=label_N.device).index_add_(0, label_N, weight_N.float())
    return (count_C + 1) / (count_C.sum() + num_classes)


def is_asymmetric(predicted_N: Tensor, label_N: Tensor, num_classes: int) -> bool:
    """Whether labels that a net does not agree with go to one class rather than to all alike.

    Of every predicted class, the share that the commonest other label has among the labels that disagree: 1 / (C - 1)
    where wrong labels are drawn from all classes, 1 where a class is only ever taken for one other. The mean over all
    labels that disagree is compared with the middle of the two. Classes with fewer than five labels that disagree say
    nothing: of one, the commonest has all. Two classes are always asymmetric; without any disagreement nothing is.

    Args:
        predicted_N: What a net predicts that has not memorised the labels.
        label_N: Given labels.
        num_classes: C, at least 2.
    """
    pair_N = predicted_N * num_classes + label_N
    count_CC = torch.bincount(pair_N, minlength=num_classes**2).view(num_classes, num_classes).float()
    count_CC.fill_diagonal_(0)
    if num_classes == 2:
        return bool(count_CC.any())
    count_CC = count_CC[count_CC.sum(dim=1) >= LEAST_DISAGREEING]
    total = float(count_CC.sum())
    if total == 0:
        return False
    return float(count_CC.amax(dim=1).sum()) / total >= (1 + 1 / (num_classes - 1)) / 2
