"""Mixing of images and of targets, and how strongly a guess is believed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "beta_sample",
    "linear_ramp",
    "mixup",
    "one_hot",
    "random_mixup",
    "sharpen",
    "sigmoid_ramp",
    "soft_cross_entropy",
]


SMALLEST_SUM = 100 * torch.finfo(torch.float32).tiny
"""Of two Gamma variables; torch rounds each up to the smallest float, of which a smaller sum would be made."""


def beta_sample(alpha: float, generator: torch.Generator) -> Tensor:
    """Draw one mixing share from Beta(alpha, alpha), as a scalar on the generator's device; 1 for an alpha of 0.

    As the ratio of two Gamma variables, each the Marsaglia-Tsang way of ``torch._standard_gamma``. Where a small alpha
    makes both vanish, one is still nearly all of their sum: the share is 1, which mixes as much as 0.
    """
    concentration = torch.full((2,), alpha, device=generator.device)
    gamma = torch._standard_gamma(concentration, generator=generator)
    total = gamma.sum()
    return (gamma[0] / total).masked_fill(total < SMALLEST_SUM, 1.0)


def one_hot(label_B: Tensor, num_classes: int) -> Tensor:
    """Class indices as probabilities, shape (B, C), float32; torch's own would look at the values first."""
    return (label_B[:, None] == torch.arange(num_classes, device=label_B.device)).float()


def mixup(x_B: Tensor, target_BC: Tensor, share: Tensor, partner_B: Tensor) -> tuple[Tensor, Tensor]:
    """Blend each image, and its target, with its partner's; https://arxiv.org/abs/1710.09412.

    Args:
        x_B: Images, first dimension B.
        target_BC: Target distributions; rows sum to 1.
        share: Scalar in [0, 1]; the larger of it and its complement stays with the image itself.
        partner_B: Index of each image's partner.

    Returns:
        Mixed images and targets, shapes as given.
    """
    share = torch.maximum(share, 1 - share)
    return torch.lerp(x_B[partner_B], x_B, share), torch.lerp(target_BC[partner_B], target_BC, share)


def random_mixup(x_B: Tensor, target_BC: Tensor, *, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """:func:`mixup` with random partners and one share drawn from Beta(alpha, alpha); 0 mixes nothing."""
    if alpha <= 0:
        return x_B, target_BC
    partner_B = torch.randperm(len(x_B), generator=generator, device=generator.device)
    return mixup(x_B, target_BC, beta_sample(alpha, generator), partner_B)


def soft_cross_entropy(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Cross-entropy of each row against a target distribution, in nats, shape (B,); computed in float32."""
    return -(target_BC * logits_BC.float().log_softmax(dim=1)).sum(dim=1)


def sharpen(p_BC: Tensor, *, temperature: float) -> Tensor:
    """Make a distribution more certain: ``p_c^(1/T) / sum_j p_j^(1/T)``.

    MixMatch, https://arxiv.org/abs/1905.02249, equation 7; computed as a softmax of logarithms, so a probability that
    underflowed to 0 stays 0 and nothing is divided by 0.

    Args:
        p_BC: Rows sum to 1.
        temperature: T, positive; 1 changes nothing, towards 0 the largest takes all.
    """
    tiny = torch.finfo(torch.float32).tiny
    return (p_BC.float().clamp(min=tiny).log() / temperature).softmax(dim=1)


def linear_ramp(done: float, length: float) -> float:
    """Rise from 0 to 1 over ``length`` and stay there; 1 at once where the length is 0.

    DivideMix, https://arxiv.org/abs/2002.07394: the share of lambda_u, with ``done`` epochs since the warm-up.
    """
    return 1.0 if length <= 0 else min(max(done / length, 0.0), 1.0)


def sigmoid_ramp(done: float, length: float) -> float:
    """Rise as ``exp(-5 (1 - done / length)^2)`` and stay at 1; 1 at once where the length is 0.

    ELR+, https://arxiv.org/abs/2007.00151, supplement; from https://arxiv.org/abs/1610.02242.
    """
    if length <= 0:
        return 1.0
    return math.exp(-5.0 * (1 - min(max(done, 0.0), length) / length) ** 2)
