"""A training watched on held-out images: how well it predicts their noisy labels, and the weights that did so best.

Noisy held-out labels rank epochs well because their errors hit all epochs alike; neither the test set nor labels that
the training itself corrected take part.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import FixedView
from noisyclean.data.batches import Pixels
from noisyclean.engine.inference import log_probabilities
from noisyclean.robust.method import RobustMethod

__all__ = ["HELD_OUT", "Watched"]

HELD_OUT = "held-out agreement"


class Watched:
    """A method and its best weights; itself a :class:`~noisyclean.engine.loop.Task`.

    Args:
        method: What is trained.
        pixels: All images.
        held_out_R: Rows the method does not train on; may be none.
        label_R: Their given, noisy labels.
        runtime: Device and dtype.
    """

    def __init__(
        self, method: RobustMethod, *, pixels: Pixels, held_out_R: Tensor, label_R: Tensor, runtime: Runtime
    ) -> None:
        self.method = method
        self.label_R = label_R
        self.runtime = runtime
        self.pixels = pixels.only(held_out_R)
        self.best_epoch = -1
        self.best_agreement = -1.0
        self.best_weights: dict[str, Tensor] = {}

    def num_steps(self, epoch: int) -> int:
        """As the method."""
        return self.method.num_steps(epoch)

    def begin_epoch(self, epoch: int) -> None:
        """As the method."""
        self.method.begin_epoch(epoch)

    def step(self, epoch: int, step: int) -> Mapping[str, Tensor]:
        """As the method."""
        return self.method.step(epoch, step)

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """As the method; and keep the predictor if none predicted the held-out labels better, the later of equals."""
        figures = dict(self.method.end_epoch(epoch))
        if len(self.label_R) == 0:
            return figures
        log_p_RC = log_probabilities(self.method.predictor(), self.pixels, (FixedView(),), self.runtime)
        agreement = float((log_p_RC.argmax(dim=1) == self.label_R).float().mean())
        if agreement >= self.best_agreement:
            self.best_epoch, self.best_agreement = epoch, agreement
            weights = self.method.predictor().state_dict()
            self.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        return {**figures, HELD_OUT: agreement}

    def selected(self) -> nn.Module:
        """The predictor with the weights that were best."""
        model = copy.deepcopy(self.method.predictor())
        model.load_state_dict(self.best_weights)
        return model

    def state_dict(self) -> dict[str, Any]:
        """The method's state and the best weights."""
        return {
            "method": self.method.state_dict(),
            "best_epoch": self.best_epoch,
            "best_agreement": self.best_agreement,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.method.load_state_dict(state["method"])
        self.best_epoch, self.best_agreement = state["best_epoch"], state["best_agreement"]
        self.best_weights = dict(state["best_weights"])
