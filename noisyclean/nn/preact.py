"""Pre-activation ResNet for small images (https://arxiv.org/abs/1603.05027), registered with timm.

The net of DivideMix's, ELR+'s and MOIT's experiments on CIFAR: normalise and rectify before each convolution, and once
more before the pooling.
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

from noisyclean.nn.pooled import PooledClassifier, default_cfg

__all__ = ["PreActResNet"]

WIDTHS = (64, 128, 256, 512)


class PreActResNet(PooledClassifier):
    """Stem of 3 x 3, four stages of basic blocks, global average, linear; timm's conventions throughout.

    Args:
        num_classes: Outputs; 0 leaves the classifier out.
        in_chans: Image channels.
        layers: Blocks of each stage.
    """

    def __init__(
        self, num_classes: int = 1000, in_chans: int = 3, layers: tuple[int, ...] = (2, 2, 2, 2), **_: Any
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_chans, WIDTHS[0], 3, padding=1, bias=False)
        ends = (WIDTHS[0], *WIDTHS)
        blocks = [
            _Block(ends[stage] if first else ends[stage + 1], ends[stage + 1], stride=2 if first and stage else 1)
            for stage, num_blocks in enumerate(layers)
            for first in [True] + [False] * (num_blocks - 1)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU(inplace=True))
        self.num_features = self.head_hidden_size = WIDTHS[-1]
        self.reset_classifier(num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, x_BIHW: Tensor) -> Tensor:
        """Feature map before pooling."""
        features: Tensor = self.last(self.blocks(self.stem(x_BIHW)))
        return features


class _Block(nn.Module):
    """Two pre-activated 3 x 3 convolutions beside a shortcut, which is a convolution where shapes change."""

    def __init__(self, width_in: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(width_in), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )
        changes_shape = stride > 1 or width_in != width
        self.shortcut = nn.Conv2d(width_in, width, 1, stride, bias=False) if changes_shape else None

    def forward(self, x_BIHW: Tensor) -> Tensor:
        activated = self.first(x_BIHW)
        beside = x_BIHW if self.shortcut is None else self.shortcut(activated)
        mapped: Tensor = self.residual(activated)
        return mapped + beside


default_cfgs = {"noisyclean_preact_resnet18": default_cfg(32, first_conv="stem")}


@register_model
def noisyclean_preact_resnet18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Pre-activation ResNet-18 for pictures up to about 64 pixels, as in DivideMix's, ELR+'s and MOIT's experiments."""
    return build_model_with_cfg(PreActResNet, "noisyclean_preact_resnet18", pretrained, **kwargs)
