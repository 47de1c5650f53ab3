"""Heads put on a backbone for training and taken off afterwards."""

from __future__ import annotations

import torch
from torch import nn

from noisyclean.base.randomness import seed_from

__all__ = ["projection_head"]


def projection_head(width_in: int, width_out: int, *, seed: int) -> nn.Module:
    """SimCLR's two-layer head: Linear, ReLU, Linear; https://arxiv.org/abs/2002.05709, section 2.1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from(seed, "init", "projection"))
        return nn.Sequential(nn.Linear(width_in, width_in), nn.ReLU(inplace=True), nn.Linear(width_in, width_out))
