"""Heads put on a backbone: for training, and taken off afterwards; or a classifier found without training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.errors import UsageError
from noisyclean.nn.backbone import ANOTHER_BACKBONE, classifier_of

__all__ = ["linear_projection", "projection_head", "set_classifier"]


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


def set_classifier(model: nn.Module, weight_CD: Tensor, bias_C: Tensor) -> None:
    """Make a linear layer the classifier of a timm model.

    Args:
        model: With C outputs.
        weight_CD: On the model's pooled features, before the classifier.
        bias_C: One for each output.

    Raises:
        UsageError: The model's classifier is no such layer.
    """
    layer = classifier_of(model)
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is None or layer.weight.numel() != weight_CD.numel():
        raise UsageError(
            f"{type(model).__name__}: its classifier is not one linear layer on {weight_CD.shape[1]} features",
            hint=ANOTHER_BACKBONE,
        )
    with torch.no_grad():
        layer.weight.copy_(weight_CD.view_as(layer.weight))
        layer.bias.copy_(bias_C)
