"""Mixing of images and of targets."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["beta_sample", "mixup", "soft_cross_entropy"]


def beta_sample(alpha: float, generator: torch.Generator) -> Tensor:
    """Draw one mixing share from Beta(alpha, alpha), as a scalar on the generator's device.

    As the ratio of two Gamma variables, each the Marsaglia-Tsang way of ``torch._standard_gamma``.
    """
    concentration = torch.full((2,), alpha, device=generator.device)
    gamma = torch._standard_gamma(concentration, generator=generator)
    return gamma[0] / gamma.sum().clamp(min=torch.finfo(torch.float32).tiny)


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


def soft_cross_entropy(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Cross-entropy of each row against a target distribution, in nats, shape (B,); computed in float32."""
    return -(target_BC * logits_BC.float().log_softmax(dim=1)).sum(dim=1)
