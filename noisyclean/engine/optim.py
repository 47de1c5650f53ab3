"""Optimiser and learning-rate schedules; a rate is a function of the share of the training done and has no state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from noisyclean.config import OptimizerName
from noisyclean.engine.muon import Muon, inner_weights

__all__ = ["create_optimizer", "one_cycle", "set_rate", "staircase", "warmup_cosine"]

INNER_PACE = 0.25
"""Of the learning rate, what orthogonal steps take."""
INNER_DECAY = 100
"""Times the weight decay, for what takes orthogonal steps: they do not shrink with the gradient, so without it weights
grow and wrong labels are memorised sooner. Muon's usual decay is .1; of 5e-4 this makes .05."""


def create_optimizer(
    name: OptimizerName, model: nn.Module, *, weight_decay: float, dtype: torch.dtype = torch.float32
) -> torch.optim.SGD:
    """An optimiser by name, all with momentum.

    Args:
        name: ``muon`` steps inner weight matrices along their orthogonal momentum and everything else as ``sgd``
            does, with Nesterov's correction; ``plain-sgd`` is what most papers have: without it, and all decayed.
        model: What is trained.
        weight_decay: Of all weights, :data:`INNER_DECAY` times as much of inner ones; biases and normalisation weights
            are left out.
        dtype: Of Muon's large products.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    inner = list(inner_weights(model)) if name == "muon" else []
    matrices = {id(weight) for weight in inner}
    outer = [parameter for parameter in parameters if id(parameter) not in matrices]
    is_plain = name == "plain-sgd"
    groups: list[dict[str, Any]] = [
        {"params": inner, "weight_decay": INNER_DECAY * weight_decay, "is_inner": True, "pace": INNER_PACE},
        {"params": [p for p in outer if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in outer if p.ndim <= 1], "weight_decay": weight_decay if is_plain else 0.0},
    ]
    on_cuda = any(parameter.is_cuda for parameter in parameters)
    common: dict[str, Any] = {"lr": 0.0, "momentum": 0.9, "nesterov": not is_plain, "fused": on_cuda or None}
    return Muon(groups, dtype=dtype, **common) if inner else torch.optim.SGD(groups[1:], **common)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, each at its own pace."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("pace", 1.0)


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
