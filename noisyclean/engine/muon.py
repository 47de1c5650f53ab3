"""Muon (https://kellerjordan.github.io/posts/muon): the momentum of every inner weight matrix is made orthogonal.

Plain SGD follows the few directions in which gradients are large; an orthogonal step goes as far in every other one.
With few images and few epochs that is what is short: SimCLR needs a quarter of the epochs for the same figures
(``docs/decisions/0009-muon.md``). Everything that is no inner matrix takes SGD's step. Cost, for a matrix of m x n
weights, m <= n: 4 m m n + 18 m m m operations a step. The Newton-Schulz iteration is done on the products of the rows,
in float32; the matrix itself is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "inner_weights", "orthogonal"]

MOMENTUM = 0.6
"""Shorter than SGD's: an orthogonal step is as long whether gradients agree or not."""
ITERATIONS = 3
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the Newton-Schulz iteration: singular values of .03 to 1 come to lie between .4 and 1.3 in three steps."""
IMAGE_CHANNELS = 3


class Muon(torch.optim.SGD):
    """SGD whose groups marked ``is_inner`` step along their orthogonal momentum.

    Args:
        groups: Parameter groups; those with ``is_inner`` hold matrices, or convolutions, which are taken as matrices
            of a row for each output, and are stepped by SGD without momentum of its own.
        dtype: Of the last product, which is with the matrix; all others are float32.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, dtype: torch.dtype, **defaults: Any) -> None:
        plain = {"is_inner": False}
        inner = {"momentum": 0.0, "nesterov": False}
        super().__init__([plain | group | (inner if group.get("is_inner") else {}) for group in groups], **defaults)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; gradients of inner weights are replaced by the direction they are stepped along."""
        for group in self.param_groups:
            if group["is_inner"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        weight.grad = self._direction(weight)
        super().step(closure)

    def _direction(self, weight: Tensor) -> Tensor:
        """Orthogonal, one step ahead of the momentum as in Nesterov's method; as long for any shape of matrix."""
        assert weight.grad is not None
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight.grad)
        momentum = state["momentum_buffer"].mul_(MOMENTUM).add_(weight.grad)
        ahead = weight.grad.add(momentum, alpha=MOMENTUM)
        # The order of a matrix' columns does not matter, so channels go last, where ``channels_last`` has them already.
        last = ahead.movedim(1, -1)
        step_MN = orthogonal(last.flatten(1), dtype=self.dtype)
        height, width = step_MN.shape
        direction: Tensor = (step_MN * max(1.0, height / width) ** 0.5).view(last.shape).movedim(-1, 1)
        return direction


def orthogonal(x_MN: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """About the nearest matrix whose rows, or columns if they are fewer, are orthogonal and of length 1.

    Args:
        x_MN: Any matrix.
        dtype: Of the last product.

    Returns:
        For x = U S V' about U V': the singular values lie between .4 and 1.3 where they were at least a thirtieth of
        x's norm, and below where they were smaller. Shape and dtype of ``x_MN``; zero where that is.
    """
    is_tall = x_MN.shape[0] > x_MN.shape[1]
    y_MN: Tensor = (x_MN.T if is_tall else x_MN).float()
    y_MN = y_MN / y_MN.norm().clamp(min=1e-12)
    gram_MM = y_MN @ y_MN.T
    factor_MM = turn_MM = _polynomial(gram_MM)
    for _ in range(ITERATIONS - 1):
        gram_MM = factor_MM @ gram_MM @ factor_MM
        factor_MM = _polynomial(gram_MM)
        turn_MM = factor_MM @ turn_MM
    y_MN = (turn_MM.to(dtype) @ y_MN.to(dtype)).to(x_MN.dtype)
    return y_MN.T if is_tall else y_MN


def _polynomial(gram_MM: Tensor) -> Tensor:
    """What one step of the iteration multiplies a matrix by, of the products of its rows."""
    linear, cubic, quintic = COEFFICIENTS
    identity_MM = torch.eye(len(gram_MM), device=gram_MM.device)
    factor_MM: Tensor = linear * identity_MM + cubic * gram_MM + quintic * (gram_MM @ gram_MM)
    return factor_MM


def inner_weights(model: nn.Module) -> Iterator[Tensor]:
    """Weights of a model's layers between the first and the classifier: what :class:`Muon` is for.

    The first layer sees the image's few channels, and classes are no directions to be learnt at one pace. Grouped
    convolutions are no matrices.
    """
    outer = {
        id(parameter)
        for module in model.modules()
        if isinstance(classifier := getattr(module, "get_classifier", nn.Identity)(), nn.Module)
        for parameter in classifier.parameters()
    }
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and getattr(module, "groups", 1) == 1:
            weight = module.weight
            if weight.requires_grad and weight.shape[1] > IMAGE_CHANNELS and id(weight) not in outer:
                yield weight
