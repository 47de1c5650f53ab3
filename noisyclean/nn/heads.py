"""Heads put on a backbone for training and taken off afterwards."""

from __future__ import annotations

import torch
from torch import nn

from noisyclean.base.randomness import seed_from

__all__ = ["linear_projection", "projection_head"]


def projection_head(width_in: int, width_out: int, *, seed: int) -> nn.Module:
    """SimCLR's two-layer head: Linear, ReLU, Linear; https://arxiv.org/abs/2002.05709, section 2.1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from(seed, "init", "projection"))
        return nn.Sequential(nn.Linear(width_in, width_in), nn.ReLU(inplace=True), nn.Linear(width_in, width_out))


def linear_projection(width_in: int, width_out: int, *, seed: int) -> nn.Module:
    """MOIT's head: one linear layer; https://arxiv.org/abs/2012.04462."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from(seed, "init", "linear projection"))
        return nn.Linear(width_in, width_out)
