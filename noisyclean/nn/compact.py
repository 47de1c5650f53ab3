"""A seven-convolution net for small images on few cores, registered with timm.

The stem halves the picture at once and every block but the last halves it again, before it normalises: most of the work
is done on few pixels, and normalisation, which memory bounds, sees a quarter of the values. All widths are multiples of
32 because that is what bfloat16 kernels are fast at. ``docs/benchmarks.md`` has the measurements that chose it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

from noisyclean.nn.pooled import PooledClassifier, default_cfg

__all__ = ["CompactNet"]


class CompactNet(PooledClassifier):
    """Stem, three blocks of two convolutions, global average, linear; timm's conventions throughout.

    Args:
        num_classes: Outputs; 0 leaves the classifier out.
        in_chans: Image channels.
        widths: Channels of the three blocks.
        num_stems: Convolutions of stride 2 before the first block: 1 for pictures up to 32 pixels, 2 up to 64.
        stem_width: Channels of the stem.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        widths: tuple[int, int, int] = (64, 128, 256),
        num_stems: int = 1,
        stem_width: int = 32,
        **_: Any,
    ) -> None:
        super().__init__()
        ends = (in_chans, *[stem_width] * num_stems)
        self.stem = nn.Sequential(*(_convolve(ends[i], ends[i + 1], side=4, stride=2) for i in range(num_stems)))
        ends = (stem_width, *widths)
        self.blocks = nn.Sequential(*(_block(ends[i], ends[i + 1], halve=i < 2) for i in range(3)))
        self.num_features = self.head_hidden_size = widths[-1]
        self.reset_classifier(num_classes)

    def forward_features(self, x_BIHW: Tensor) -> Tensor:
        """Feature map before pooling."""
        features: Tensor = self.blocks(self.stem(x_BIHW))
        return features


def _convolve(width_in: int, width: int, *, side: int = 3, stride: int = 1, halve: bool = False) -> nn.Sequential:
    """The layers' names are the same with and without pooling, and what is computed from given weights nearly so."""
    convolution = nn.Conv2d(width_in, width, side, stride, padding=1, bias=False)
    layers = [("0", convolution), ("1", nn.BatchNorm2d(width)), ("2", nn.ReLU(inplace=True))]
    if halve:
        layers.insert(1, ("pool", nn.MaxPool2d(2)))
    return nn.Sequential(OrderedDict(layers))


def _block(width_in: int, width: int, *, halve: bool) -> nn.Sequential:
    """Convolve twice, and perhaps halve."""
    return nn.Sequential(_convolve(width_in, width), _convolve(width, width, halve=halve))


default_cfgs = {
    "noisyclean_compact": default_cfg(32, first_conv="stem.0.0"),
    "noisyclean_compact_64": default_cfg(64, first_conv="stem.0.0"),
}


@register_model
def noisyclean_compact(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """For pictures of 16 to 32 pixels on few cores."""
    return build_model_with_cfg(CompactNet, "noisyclean_compact", pretrained, **kwargs)


@register_model
def noisyclean_compact_64(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """For pictures of about 64 pixels on few cores: the stem quarters them."""
    return build_model_with_cfg(CompactNet, "noisyclean_compact_64", pretrained, **{"num_stems": 2, **kwargs})
