"""Early-learning regularisation (https://arxiv.org/abs/2007.00151): remember early beliefs and stay near them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["CLAMP", "elr_penalty", "moved_targets"]

CLAMP = 1e-4
"""Probabilities are kept this far from 0 and 1, as in the published experiments."""


def moved_targets(target_BC: Tensor, p_BC: Tensor, *, beta: float) -> Tensor:
    """One step of temporal ensembling, ``beta t + (1 - beta) p``; ELR, section 4.2.

    Args:
        target_BC: Remembered targets; zeros before the first step.
        p_BC: New beliefs; rows sum to 1. No gradient flows.
        beta: Share kept, in [0, 1).
    """
    return torch.lerp(p_BC.detach().float(), target_BC, beta)


def elr_penalty(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Mean of ``log(1 - <p, t>)``; falls as predictions agree with the remembered targets; ELR, section 4.1.

    Args:
        logits_BC: Predictions.
        target_BC: Remembered targets, perhaps mixed; rows sum to at most 1.

    Returns:
        A scalar of at most 0, in float32.
    """
    p_BC = logits_BC.float().softmax(dim=1).clamp(CLAMP, 1 - CLAMP)
    return torch.log1p(-(p_BC * target_BC).sum(dim=1).clamp(max=1 - CLAMP)).mean()
