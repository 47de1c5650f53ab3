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

from noisyclean.base.runtime import coarsely

__all__ = ["Muon", "inner_weights", "orthogonal"]

MOMENTUM = 0.6
"""Shorter than SGD's: an orthogonal step is as long whether gradients agree or not."""
ITERATIONS = 3
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the Newton-Schulz iteration: singular values of .03 to 1 come to lie between .4 and 1.3 in three steps."""
IMAGE_CHANNELS = 3


class Muon(torch.optim.SGD):
    """SGD whose groups marked ``is_inner`` step along their orthogonal momentum; :meth:`step` in two halves.

    Args:
        groups: Parameter groups; those with ``is_inner`` hold matrices, or convolutions, which are taken as matrices
            of a row for each output, and are stepped by SGD without momentum of its own.
        dtype: Of the last product, which is with the matrix; all others are float32, on an accelerator its TF32.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, dtype: torch.dtype, **defaults: Any) -> None:
        plain = {"is_inner": False}
        inner = {"momentum": 0.0, "nesterov": False}
        super().__init__([plain | group | (inner if group.get("is_inner") else {}) for group in groups], **defaults)
        self.dtype = dtype

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """:meth:`turn`, then :meth:`descend`."""
        self.turn()
        self.descend()

    def descend(self) -> None:
        """Step along the gradients as they are."""
        super().step()

    @torch.no_grad()
    def turn(self) -> None:
        """Replace the gradients of inner weights by the directions they are stepped along; reads no rate."""
        inner = [weight for group in self.param_groups if group["is_inner"] for weight in group["params"]]
        pairs = [(weight, weight.grad) for weight in inner if weight.grad is not None]
        if not pairs:
            return
        weights, gradients = map(list, zip(*pairs, strict=True))
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for gradient, ahead in zip(gradients, self._ahead(weights, gradients), strict=True):
            # The order of a matrix' columns does not matter, so channels go last, as ``channels_last`` has them.
            x_MN = ahead.movedim(1, -1).flatten(1)
            alike.setdefault(x_MN.shape, []).append((gradient, x_MN))
        for shape, found in alike.items():
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            step_LMN = scale * orthogonal(torch.stack([x_MN for _, x_MN in found]), dtype=self.dtype)
            for (gradient, _), step_MN in zip(found, step_LMN, strict=True):
                last = gradient.movedim(1, -1)
                last.copy_(step_MN.view(last.shape))

    def _ahead(self, weights: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, ...]:
        """Momenta one step ahead, as in Nesterov's method."""
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_mul_(momenta, MOMENTUM)
        torch._foreach_add_(momenta, gradients)
        return torch._foreach_add(gradients, momenta, alpha=MOMENTUM)


def orthogonal(x_LMN: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """About the nearest matrices whose rows, or columns if they are fewer, are orthogonal and of length 1.

    Args:
        x_LMN: Any matrices, each for itself.
        dtype: Of the last product.

    Returns:
        For x = U S V' about U V': the singular values lie between .4 and 1.3 where they were at least a thirtieth of
        x's norm, and below where they were smaller. Shape and dtype of ``x_LMN``; zero where that is.
    """
    is_tall = x_LMN.shape[1] > x_LMN.shape[2]
    y_LMN: Tensor = (x_LMN.mT if is_tall else x_LMN).float()
    y_LMN = y_LMN / torch.linalg.vector_norm(y_LMN, dim=(1, 2), keepdim=True).clamp(min=1e-12)
    with coarsely(x_LMN.device):
        gram_LMM = y_LMN @ y_LMN.mT
        factor_LMM = turn_LMM = _polynomial(gram_LMM)
        for _ in range(ITERATIONS - 1):
            gram_LMM = factor_LMM @ gram_LMM @ factor_LMM
            factor_LMM = _polynomial(gram_LMM)
            turn_LMM = factor_LMM @ turn_LMM
        y_LMN = (turn_LMM.to(dtype) @ y_LMN.to(dtype)).to(x_LMN.dtype)
    return y_LMN.mT if is_tall else y_LMN


def _polynomial(gram_LMM: Tensor) -> Tensor:
    """What one step of the iteration multiplies matrices by, of the products of their rows."""
    linear, cubic, quintic = COEFFICIENTS
    factor_LMM = torch.baddbmm(gram_LMM, gram_LMM, gram_LMM, beta=cubic, alpha=quintic)
    factor_LMM.diagonal(dim1=1, dim2=2).add_(linear)
    return factor_LMM


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
