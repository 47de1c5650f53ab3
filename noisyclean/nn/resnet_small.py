"""timm's ResNets with the stem for small images: a 3 x 3 convolution of stride 1, no max-pool; registered with timm."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from noisyclean.nn.pooled import default_cfg

__all__: list[str] = []


def _small_resnet(in_chans: int = 3, **kwargs: Any) -> ResNet:
    model = ResNet(in_chans=in_chans, **kwargs)
    stem = nn.Conv2d(in_chans, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    setattr(model, "conv1", stem)  # noqa: B010  timm declares another type
    setattr(model, "maxpool", nn.Identity())  # noqa: B010
    return model


def _build(name: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    return build_model_with_cfg(_small_resnet, name, pretrained, **kwargs)


_CFG = default_cfg(32, first_conv="conv1")
default_cfgs = {name: _CFG for name in ("noisyclean_resnet18", "noisyclean_resnet34", "noisyclean_resnet50")}


@register_model
def noisyclean_resnet18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-18 for pictures up to about 64 pixels, as in SimCLR's and C2D's CIFAR experiments."""
    return _build("noisyclean_resnet18", pretrained, **{"block": BasicBlock, "layers": (2, 2, 2, 2), **kwargs})


@register_model
def noisyclean_resnet34(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-34 for pictures up to about 64 pixels."""
    return _build("noisyclean_resnet34", pretrained, **{"block": BasicBlock, "layers": (3, 4, 6, 3), **kwargs})


@register_model
def noisyclean_resnet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-50 for pictures up to about 64 pixels."""
    return _build("noisyclean_resnet50", pretrained, **{"block": Bottleneck, "layers": (3, 4, 6, 3), **kwargs})
