"""Whether a net had better learn from strong views: where its start already tells the classes apart.

Strong views (https://arxiv.org/abs/2103.02130) keep a net from fitting the noise around each image. Where classes are
hard to learn they delay learning, and at a short budget the training ends before they pay. So before the first epoch
the neighbours in the untrained (or pre-trained) net's features vote on every label: random features tell digits apart,
even with 40 % wrong labels, and do not tell photographs apart, even with right ones (``docs/log.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import Augmentation
from noisyclean.engine.inference import embed
from noisyclean.ops.agreement import kappa
from noisyclean.robust.method import TrainingData
from noisyclean.robust.neighbourhood import vote_of_neighbours

__all__ = ["EASY", "EASY_REASON", "StrongViews"]

EASY = 1 / 3
"""Cohen's kappa of the neighbours' votes with the labels, in the presets that fit a budget."""
EASY_REASON = f"strong where neighbours in the start's features agree with the labels (kappa {EASY:.2f}), else weak"
MOST_ASKED = 10_000
"""Images whose neighbours vote."""


class StrongViews:
    """Weak views, or strong ones where the classes are easy.

    Args:
        data: The images trained on, and both kinds of views.
        least_agreement: Cohen's kappa of the neighbours' votes with the labels from which views are strong; 0 or less
            takes strong ones unasked.
        runtime: Device and dtype.
    """

    def __init__(self, data: TrainingData, *, least_agreement: float, runtime: Runtime) -> None:
        self.data = data
        self.least_agreement = least_agreement
        self.runtime = runtime
        self.is_strong = least_agreement <= 0
        self.notes: list[str] = []

    @property
    def views(self) -> Augmentation:
        """Views to learn from."""
        return self.data.strong if self.is_strong else self.data.weak

    def choose(self, epoch: int, net: nn.Module) -> None:
        """Before the first epoch, let the neighbours in the net's features vote; one pass over a sample of images."""
        if epoch > 0 or self.least_agreement <= 0:
            return
        asked = replace(self.data, train_T=self.data.train_T[:: max(1, len(self.data.train_T) // MOST_ASKED)])
        z_TD = embed(net, asked.pixels, asked.train_T, self.runtime).clone()
        voted_T = vote_of_neighbours(z_TD, asked).argmax(dim=1)
        label_T = asked.label_N[asked.train_T]
        agreement, _ = kappa(voted_T.cpu().numpy(), label_T.cpu().numpy(), asked.num_classes)
        self.is_strong = agreement >= self.least_agreement
        name = "strong" if self.is_strong else "weak"
        self.notes = [f"{name} views: the start's neighbours agree with the labels with a kappa of {agreement:.2f}"]

    def state_dict(self) -> dict[str, Any]:
        """What was chosen, and why."""
        return {"is_strong": self.is_strong, "notes": self.notes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.is_strong, self.notes = state["is_strong"], list(state["notes"])
