"""The settings that every method has, once: how long, how fast, and how slowly the average follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from noisyclean.config import OptimizerName
from noisyclean.engine.optim import one_cycle, staircase
from noisyclean.ranges import Range

__all__ = ["Schedule"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Counts and rates of a training; a method's settings are these and its own."""

    epochs: Annotated[int, Range(at_least=1)]
    """Passes over the images that are learnt from."""
    batch: Annotated[int, Range(at_least=2)] = 128
    """Images in a step."""
    lr: Annotated[float, Range(above=0)] = 0.1
    """Largest rate."""
    drop_epochs: Annotated[tuple[int, ...], Range(at_least=0)] = ()
    """A tenth of the rate from each of these on; without any, one cycle."""
    weight_decay: Annotated[float, Range(at_least=0)] = 5e-4
    """Of all weights but biases and normalisation."""
    optimizer: OptimizerName = "sgd"
    """How weights are stepped."""
    mixup_alpha: Annotated[float, Range(at_least=0)] = 1.0
    """Of the Beta distribution mixup draws from; 0 switches mixup off."""
    has_strong_views: bool = False
    """Learn from strong views."""
    ema_decay: Annotated[float, Range(below=1)] = -1.0
    """Of the weight average that guesses and predicts, per step; 0 keeps none, as most papers have it, and negative
    looks back over a thirtieth of the training."""

    def rate(self, epoch: int, share: float) -> float:
        """Learning rate ``share`` of the way through an epoch."""
        if self.drop_epochs:
            return staircase(epoch, peak=self.lr, drops=self.drop_epochs)
        return one_cycle((epoch + share) / self.epochs, peak=self.lr)
