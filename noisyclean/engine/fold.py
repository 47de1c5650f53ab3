"""Normalisation folded into the convolution before it, for evaluation."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["folded"]


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode that computes the same with fewer passes over its activations.

    Only where a convolution and its batch normalisation follow each other in an ``nn.Sequential``: elsewhere the order
    of attributes need not be the order of the computation.

    Args:
        model: Any net; left as it is, but for eval mode.
    """
    copied = copy.deepcopy(model.eval()).requires_grad_(False)
    for sequence in [part for part in copied.modules() if isinstance(part, nn.Sequential)]:
        for place in range(len(sequence) - 1):
            first, second = sequence[place], sequence[place + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                sequence[place] = fuse_conv_bn_eval(first, second)
                sequence[place + 1] = nn.Identity()
    return copied
