"""Normalisation folded into the convolution before it, for evaluation."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["folded"]


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode that computes the same with fewer passes over its activations.

    Only where a convolution and its batch normalisation follow each other in an ``nn.Sequential``, the largest values
    taken in between or not: elsewhere the order of attributes need not be the order of the computation.

    Args:
        model: Any net; left as it is, but for eval mode.
    """
    copied = copy.deepcopy(model.eval()).requires_grad_(False)
    for sequence in [part for part in copied.modules() if isinstance(part, nn.Sequential)]:
        for place, first in enumerate(sequence):
            after = place + (2 if _pools(sequence, place + 1) else 1)
            second = sequence[after] if after < len(sequence) else None
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                sequence[place] = fuse_conv_bn_eval(first, second)
                sequence[after] = nn.Identity()
    return copied


def _pools(sequence: nn.Sequential, place: int) -> bool:
    """Whether a layer takes largest values, and what normalises them next keeps their order."""
    if place + 1 >= len(sequence) or not isinstance(sequence[place], nn.MaxPool2d):
        return False
    normalisation = sequence[place + 1]
    return isinstance(normalisation, nn.BatchNorm2d) and bool((normalisation.weight > 0).all())
