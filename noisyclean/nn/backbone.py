"""Backbones by timm name."""

from __future__ import annotations

import copy

import timm
import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.errors import UsageError

__all__ = [
    "ANOTHER_BACKBONE",
    "classifier_of",
    "classify",
    "classify_features",
    "create_backbone",
    "embed_with",
    "feature_width",
    "freeze_a_copy",
    "require_backbone",
]

ANOTHER_BACKBONE = "Take another backbone; resnet18 is one that works."
"""Hint where one cannot be used."""


def create_backbone(name: str, *, num_classes: int, seed: int, key: tuple[str | int, ...] = ()) -> nn.Module:
    """Create a randomly initialised timm model, the same for the same seed and key.

    Args:
        name: A timm name, ours (``noisyclean_…``) among them.
        num_classes: Outputs of the classifier; 0 leaves it out.
        seed: The run's seed.
        key: What the net is for, so that two nets differ.

    Raises:
        UsageError: timm knows no such name, or the model has several classifiers.
    """
    require_backbone(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from(seed, "init", *key))
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes)
    classifier_of(model)
    return model.to(memory_format=torch.channels_last)


def require_backbone(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        UsageError: timm knows no such name.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('.')[0]}*")[:5] or timm.list_models("noisyclean_*"))
        raise UsageError(f"--backbone {name}: timm knows no such model", hint=f"Near it: {near}.")


def classifier_of(model: nn.Module) -> nn.Module:
    """The layer from pooled features to logits.

    Raises:
        UsageError: There are several, as of nets made for distillation.
    """
    layer = model.get_classifier()  # type: ignore[operator]
    if not isinstance(layer, nn.Module):
        raise UsageError(f"{type(model).__name__}: it has several classifiers, not one layer", hint=ANOTHER_BACKBONE)
    return layer


def feature_width(model: nn.Module) -> int:
    """D of pooled features; some nets widen what ``num_features`` counts before their classifier."""
    width: int = getattr(model, "head_hidden_size", None) or model.num_features  # type: ignore[assignment]
    return width


def classify(model: nn.Module, x_BIHW: Tensor) -> Tensor:
    """Logits of images, shape (B, C)."""
    logits_BC: Tensor = model(x_BIHW)
    return logits_BC


def embed_with(model: nn.Module, x_BIHW: Tensor) -> Tensor:
    """Pooled features before the classifier, shape (B, D)."""
    features = model.forward_features(x_BIHW)  # type: ignore[operator]
    pooled: Tensor = model.forward_head(features, pre_logits=True)  # type: ignore[operator]
    return pooled


def classify_features(model: nn.Module, h_BD: Tensor) -> Tensor:
    """Logits of pooled features, shape (B, C)."""
    logits_BC: Tensor = classifier_of(model)(h_BD)
    return logits_BC


def freeze_a_copy(model: nn.Module) -> nn.Module:
    """A detached copy whose parameters take no gradient."""
    return copy.deepcopy(model).requires_grad_(False)
