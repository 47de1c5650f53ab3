"""In which way 3 x 3 convolutions are computed on a CPU."""

from __future__ import annotations

import torch
from torch import nn

from noisyclean.base.runtime import Runtime, cpu_has_tiles
from noisyclean.engine.column_by_column import ColumnByColumnConv2d
from noisyclean.engine.side_by_side import SideBySideConv2d
from noisyclean.engine.winograd import WinogradConv2d

__all__ = ["suit_convolutions"]


def suit_convolutions(model: nn.Module, runtime: Runtime) -> None:
    """Make a net's convolutions compute in a way of their own where the runtime gains by it.

    Args:
        model: Any net; its parameters and their names stay as they are.
        runtime: Device and dtype.
    """
    way = _way(runtime)
    if way is None:
        return
    for module in model.modules():
        if type(module) is nn.Conv2d and _keeps_side(module):
            module.__class__ = way  # same state, another forward


def _way(runtime: Runtime) -> type[nn.Conv2d] | None:
    if runtime.device.type != "cpu" or not runtime.suits_convolutions:
        return None
    if runtime.dtype == torch.bfloat16 and cpu_has_tiles():
        return SideBySideConv2d
    if runtime.compiles:
        return None
    return ColumnByColumnConv2d if runtime.dtype == torch.bfloat16 else WinogradConv2d


def _keeps_side(convolution: nn.Conv2d) -> bool:
    """Whether it is 3 x 3 with a pixel of zeros around, each output of all inputs."""
    shape = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1)) and convolution.groups == 1 and convolution.padding_mode == "zeros"
