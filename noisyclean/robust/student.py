"""One net under training: its optimiser, its learning rate and the average of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.engine.descent import Descent
from noisyclean.nn.backbone import classify
from noisyclean.nn.ema import WeightAverage
from noisyclean.robust.schedule import Schedule

__all__ = ["Student", "believe"]


SHARE_AVERAGED = 1 / 30
"""Of the training, what a weight average looks back over."""


class Student:
    """A net, its optimiser and, where wanted, the running average of its weights.

    Args:
        net: Trained in place.
        settings: Of the optimiser and of the average.
        num_steps: Of the whole training.
        runtime: Device and dtype.
    """

    def __init__(self, net: nn.Module, settings: Schedule, *, num_steps: int, runtime: Runtime) -> None:
        self.net = net
        decay = settings.ema_decay
        self.ema_decay = decay if decay >= 0 else 1 - 1 / max(2.0, SHARE_AVERAGED * num_steps)
        self.average = WeightAverage(net, decay=self.ema_decay) if self.ema_decay > 0 else None
        self.descent = Descent(
            net,
            runtime,
            optimizer=settings.optimizer,
            weight_decay=settings.weight_decay,
            average=self.average,
        )
        self.runtime = runtime

    @property
    def best(self) -> nn.Module:
        """What predicts and teaches: the average where there is one."""
        return self.net if self.average is None else self.average.model

    def logits(self, x_BIHW: Tensor) -> Tensor:
        """Logits of training views, shape (B, C); the net is in training mode."""
        self.net.train()
        with self.runtime.autocast():
            return self.runtime.compiled(classify)(self.net, x_BIHW)

    def state_dict(self) -> dict[str, Any]:
        """Weights, their average and the optimiser."""
        state: dict[str, Any] = {"net": self.net.state_dict(), "optimizer": self.descent.state_dict()}
        if self.average is not None:
            state |= {"average": self.average.model.state_dict(), "num_updates": self.average.num_updates}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load_state_dict(state["net"])
        self.descent.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
            self.average.num_updates = state["num_updates"]


@torch.no_grad()
def believe(net: nn.Module, x_BIHW: Tensor, runtime: Runtime) -> Tensor:
    """Class probabilities of some views, shape (B, C), float32; the net is left in eval mode.

    In training mode the guessing would depend on who else is in the batch, and would shift the statistics of the
    normalisation layers; DivideMix's author finds eval mode as good (its issue 44).
    """
    net.eval()
    with runtime.autocast():
        logits_BC = runtime.compiled(classify)(net, x_BIHW)
    return logits_BC.float().softmax(dim=1)
