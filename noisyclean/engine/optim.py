"""Optimiser and learning-rate schedules; a rate is a function of the share of the training done and has no state."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["one_cycle", "set_rate", "sgd", "staircase", "warmup_cosine"]


def sgd(model: nn.Module, *, weight_decay: float, is_plain: bool = False) -> torch.optim.SGD:
    """SGD with momentum .9.

    Args:
        model: What is trained.
        weight_decay: Of all weights; biases and normalisation weights are left out.
        is_plain: As most papers have it: without Nesterov's correction, and everything decayed.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": weight_decay if is_plain else 0.0},
    ]
    on_cuda = any(parameter.is_cuda for parameter in parameters)
    return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=not is_plain, fused=on_cuda or None)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def one_cycle(done: float, *, peak: float, rise: float = 0.3) -> float:
    """Linear to ``peak`` over the first ``rise`` of the training, then half a cosine to a thousandth of it.

    Args:
        done: Share of the training done, in [0, 1).
        peak: Largest rate.
        rise: Share of the training spent rising.
    """
    factor = done / rise if done < rise else 0.5 + 0.5 * math.cos(math.pi * (done - rise) / (1 - rise))
    return peak * max(factor, 1e-3)


def warmup_cosine(done: float, *, peak: float, warmup: float) -> float:
    """Linear from a fiftieth over the first ``warmup`` of the training, then a cosine to ``peak / 1000``."""
    if done < warmup:
        return peak * (0.02 + 0.98 * done / warmup)
    return peak * (1e-3 + (1 - 1e-3) * (0.5 + 0.5 * math.cos(math.pi * (done - warmup) / (1 - warmup))))


def staircase(epoch: int, *, peak: float, drops: Sequence[int], factor: float = 0.1) -> float:
    """``peak``, times ``factor`` from each epoch of ``drops`` on."""
    return peak * factor ** sum(epoch >= drop for drop in drops)
