"""One net under training: its optimiser, its learning rate and the average of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.engine.optim import one_cycle, set_rate, sgd, staircase
from noisyclean.nn.ema import WeightAverage

__all__ = ["Student", "believe", "rate_at"]


SHARE_AVERAGED = 1 / 30
"""Of the training, what a weight average looks back over."""


class Student:
    """A net, its optimiser and, where wanted, the running average of its weights.

    Args:
        net: Trained in place.
        weight_decay: Of the optimiser.
        ema_decay: Of the average, per step; 0 keeps none, and a negative one stands for an average that looks back over
            a thirtieth of the training.
        num_steps: Of the whole training.
        is_plain_sgd: Optimise as most papers do: without Nesterov's correction, and decay everything.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        weight_decay: float,
        ema_decay: float,
        num_steps: int,
        is_plain_sgd: bool = False,
    ) -> None:
        self.net = net
        self.ema_decay = ema_decay if ema_decay >= 0 else 1 - 1 / max(2.0, SHARE_AVERAGED * num_steps)
        self.average = WeightAverage(net, decay=self.ema_decay) if self.ema_decay > 0 else None
        self.optimizer = sgd(net, weight_decay=weight_decay, is_plain=is_plain_sgd)

    @property
    def best(self) -> nn.Module:
        """What predicts and teaches: the average where there is one."""
        return self.net if self.average is None else self.average.model

    def logits(self, x_BIHW: Tensor, runtime: Runtime) -> Tensor:
        """Logits of training views, shape (B, C); the net is in training mode."""
        self.net.train()
        with runtime.autocast():
            logits_BC: Tensor = self.net(x_BIHW)
        return logits_BC

    def learn(self, loss: Tensor, *, rate: float, clip_norm: float = 0.0) -> None:
        """One optimiser step down the loss, and the average follows.

        Args:
            loss: A scalar.
            rate: Learning rate.
            clip_norm: Longer gradients are cut to it; 0 leaves them.
        """
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip_norm > 0:
            nn.utils.clip_grad_norm_(self.net.parameters(), clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()

    def state_dict(self) -> dict[str, Any]:
        """Weights, their average and the optimiser."""
        state: dict[str, Any] = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.average is not None:
            state |= {"average": self.average.model.state_dict(), "num_updates": self.average.num_updates}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
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
        logits_BC = net(x_BIHW)
    p_BC: Tensor = logits_BC.float().softmax(dim=1)
    return p_BC


def rate_at(epoch: int, share: float, *, num_epochs: int, peak: float, drop_epochs: Sequence[int]) -> float:
    """Learning rate at some point of the training.

    Args:
        epoch: Epochs done.
        share: Of the present epoch, in [0, 1).
        num_epochs: Of the whole training.
        peak: Largest rate.
        drop_epochs: A tenth from each of these on; without any, one cycle over the training.
    """
    if drop_epochs:
        return staircase(epoch, peak=peak, drops=drop_epochs)
    return one_cycle((epoch + share) / num_epochs, peak=peak)
