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
        for place, layer in enumerate(sequence):
            found = _normalisation_of(sequence, place)
            if isinstance(layer, nn.Conv2d) and found is not None:
                after, normalisation = found
                sequence[place] = fuse_conv_bn_eval(layer, normalisation)
                sequence[after] = nn.Identity()
    return copied


def _normalisation_of(sequence: nn.Sequential, place: int) -> tuple[int, nn.BatchNorm2d] | None:
    """What normalises a layer's output, and its place: next, or once largest values are taken if it keeps order."""
    is_pooled = place + 1 < len(sequence) and isinstance(sequence[place + 1], nn.MaxPool2d)
    after = place + 2 if is_pooled else place + 1
    layer = sequence[after] if after < len(sequence) else None
    if not isinstance(layer, nn.BatchNorm2d):
        return None
    keeps_order = not layer.affine or bool((layer.weight > 0).all())
    return (after, layer) if keeps_order or not is_pooled else None
