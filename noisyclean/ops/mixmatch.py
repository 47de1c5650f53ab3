"""MixMatch as DivideMix uses it: refined targets, the loss of both halves, and what stops collapse."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from noisyclean.ops.mix import sharpen, soft_cross_entropy

__all__ = ["interpolated_targets", "negative_entropy", "prior_penalty", "refined_targets", "semi_supervised_loss"]


def refined_targets(target_BC: Tensor, p_BC: Tensor, p_clean_B: Tensor, *, temperature: float) -> Tensor:
    """Trust the given label as far as it is probably clean, and the guess for the rest; then sharpen.

    DivideMix, https://arxiv.org/abs/2002.07394, section 3.2 (co-refinement). With ``p_clean_B`` of 0 it is the
    sharpened guess (co-guessing).

    Args:
        target_BC: One-hot given labels.
        p_BC: Guesses; rows sum to 1.
        p_clean_B: Probability that each label is clean, in [0, 1].
        temperature: Of the sharpening.
    """
    return sharpen(torch.lerp(p_BC, target_BC, p_clean_B[:, None]), temperature=temperature)


def interpolated_targets(
    given_BC: Tensor,
    guess_BC: Tensor,
    believed_B: Tensor,
    share_B: Tensor,
    partner_B: Tensor,
    *,
    form: Literal["paper", "code"],
) -> Tensor:
    """Targets of mixed images of which some labels are believed and others guessed.

    MOIT, https://arxiv.org/abs/2012.04462. As the paper has it, each part brings its label if that is believed, else
    its guess. As the published code has it, a believed image brings its partner's label whatever that is worth *and*
    the doubted partner's guess, and a doubted image leaves a believed partner's label out; such rows do not sum to 1.

    Args:
        given_BC: One-hot given labels.
        guess_BC: Guesses; rows sum to 1.
        believed_B: Whether each label is believed.
        share_B: Share of the image itself in its mixture.
        partner_B: Index of each image's partner.
        form: ``paper`` or ``code``.
    """
    share_B1, believed_B1 = share_B[:, None], believed_B[:, None].float()
    if form == "paper":
        target_BC = torch.lerp(guess_BC, given_BC, believed_B1)
        return share_B1 * target_BC + (1 - share_B1) * target_BC[partner_B]
    doubted_B1 = 1 - believed_B1
    labels_BC = believed_B1 * (share_B1 * given_BC + (1 - share_B1) * given_BC[partner_B])
    guesses_BC = doubted_B1 * guess_BC
    return labels_BC + share_B1 * guesses_BC + (1 - share_B1) * guesses_BC[partner_B]


def semi_supervised_loss(
    logits_BC: Tensor, target_BC: Tensor, *, num_labelled: int, lambda_per_class: float | Tensor
) -> Tensor:
    """Cross-entropy of the labelled rows plus a weighted squared error of the others.

    MixMatch, https://arxiv.org/abs/1905.02249, equations 3 to 5: the squared error is averaged over rows *and classes*,
    so its real weight is lambda_u / C. Here that quotient is the parameter: 2.5 is the published 25 of ten classes.

    Args:
        logits_BC: Labelled rows first.
        target_BC: Target distributions.
        num_labelled: How many rows are labelled; there may be no others.
        lambda_per_class: lambda_u / C, ramped already.
    """
    supervised = soft_cross_entropy(logits_BC[:num_labelled], target_BC[:num_labelled]).mean()
    if num_labelled == len(logits_BC):
        return supervised
    p_BC = logits_BC[num_labelled:].float().softmax(dim=1)
    squared_B = (p_BC - target_BC[num_labelled:]).square().sum(dim=1)
    return supervised + lambda_per_class * squared_B.mean()


def prior_penalty(logits_BC: Tensor, prior_C: Tensor) -> Tensor:
    """How far the batch's mean prediction is from the class prior: KL(prior || mean p), at least 0.

    DivideMix, https://arxiv.org/abs/2002.07394, section 3.2 (there with a uniform prior).

    Args:
        logits_BC: Predictions of a batch.
        prior_C: Class frequencies; sums to 1.
    """
    mean_C = logits_BC.float().softmax(dim=1).mean(dim=0).clamp(min=1e-8)
    return (prior_C * (prior_C.clamp(min=1e-8).log() - mean_C.log())).sum()


def negative_entropy(logits_BC: Tensor) -> Tensor:
    """Mean of ``sum_c p_c log p_c``, in [-log C, 0]: a penalty on confidence.

    DivideMix's warm-up under asymmetric noise, https://arxiv.org/abs/2002.07394, section 3.1; from
    https://arxiv.org/abs/1701.06548. By way of logarithms in float32, because ``p log p`` is NaN in half precision.
    """
    log_p_BC = logits_BC.float().log_softmax(dim=1)
    return (log_p_BC.exp() * log_p_BC).sum(dim=1).mean()
