"""Exponential moving average of a model's weights, buffers included."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noisyclean.nn.backbone import freeze_a_copy

__all__ = ["WeightAverage"]


class WeightAverage:
    """A shadow of a model whose weights follow slowly; with noisy labels it memorises less than the model itself.

    Args:
        model: The model followed.
        decay: Share of the old average kept at each step, in [0, 1); the first steps keep less, ``1 - 1 / (step + 1)``,
            so that the random start is forgotten.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.model = freeze_a_copy(model)
        self._pairs = _float_pairs(self.model, model)
        self._counts = _count_pairs(self.model, model)

    @torch.no_grad()
    def update(self) -> None:
        """Follow the model by one step."""
        self.num_updates += 1
        keep = min(self.decay, 1 - 1 / (self.num_updates + 1))
        averages, values = self._pairs
        torch._foreach_lerp_(averages, values, 1 - keep)
        for average, value in self._counts:
            average.copy_(value)


def _state(model: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in model.state_dict(keep_vars=True).values()]


def _float_pairs(average: nn.Module, model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    pairs = [pair for pair in zip(_state(average), _state(model), strict=True) if pair[0].is_floating_point()]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _count_pairs(average: nn.Module, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [pair for pair in zip(_state(average), _state(model), strict=True) if not pair[0].is_floating_point()]
