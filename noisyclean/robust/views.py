"""When a net may learn from strong views: once it recognises images under them.

Strong views (https://arxiv.org/abs/2103.02130) keep a net from fitting the noise around each image. As long as it does
not know an image again under them, they only delay learning, and at a short budget the training ends before it has
learnt (``docs/measurements-training.md``). So it is asked, at the start of each epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime, generator
from noisyclean.data.augment import Augmentation, FixedView
from noisyclean.robust.method import TrainingData
from noisyclean.robust.student import believe

__all__ = ["RECOGNISED", "RECOGNISED_REASON", "StrongViews", "agreement_beyond_chance"]

RECOGNISED = 0.6
"""Cohen's kappa that counts as recognising, in the presets that fit a budget."""
RECOGNISED_REASON = (
    f"weak, and strong from the epoch at which the net recognises images under them (kappa {RECOGNISED})"
)
NUM_ASKED = 1000
"""Images the net is asked about."""


class StrongViews:
    """Weak views until the net's opinions of plain images and of strong views agree.

    Args:
        data: The images trained on, and both kinds of views.
        least_agreement: Cohen's kappa from which views are strong; 0 or less begins with them.
        runtime: Device and dtype.
        seed: Of the views drawn to ask with.
    """

    def __init__(self, data: TrainingData, *, least_agreement: float, runtime: Runtime, seed: int) -> None:
        self.data = data
        self.least_agreement = least_agreement
        self.runtime = runtime
        self.seed = seed
        self.is_strong = least_agreement <= 0
        self.notes: list[str] = []

    @property
    def views(self) -> Augmentation:
        """Views to learn from now."""
        return self.data.strong if self.is_strong else self.data.weak

    def update(self, epoch: int, net: nn.Module) -> None:
        """Ask the net at the start of an epoch, two passes over a sample of the images; once strong, always strong."""
        if self.is_strong:
            return
        row_B = self.data.train_T[:: max(1, len(self.data.train_T) // NUM_ASKED)]
        draw = generator(self.runtime.device, self.seed, "strong views", epoch)
        plain_BC = believe(net, self.data.pixels.fixed(row_B, FixedView()), self.runtime)
        strong_BC = believe(net, self.data.pixels.random(row_B, self.data.strong, draw), self.runtime)
        agreement = agreement_beyond_chance(plain_BC.argmax(dim=1), strong_BC.argmax(dim=1), self.data.num_classes)
        self.is_strong = agreement >= self.least_agreement
        if self.is_strong:
            self.notes.append(
                f"epoch {epoch + 1}: strong views from here on, opinions agree under them ({agreement:.2f})"
            )

    def state_dict(self) -> dict[str, Any]:
        """Whether it has happened."""
        return {"is_strong": self.is_strong, "notes": self.notes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.is_strong, self.notes = state["is_strong"], list(state["notes"])


def agreement_beyond_chance(one_B: Tensor, other_B: Tensor, num_classes: int) -> float:
    """Cohen's kappa of two opinions: 1 where they are the same, 0 where they agree as often as by chance.

    Opinions that are always the same class say nothing, so that is 0 too.

    Args:
        one_B: Class indices.
        other_B: Class indices.
        num_classes: C.
    """
    share_C, other_C = (torch.bincount(label_B, minlength=num_classes) / len(label_B) for label_B in (one_B, other_B))
    by_chance = float((share_C * other_C).sum())
    if by_chance >= 1:
        return 0.0
    return (float((one_B == other_B).float().mean()) - by_chance) / (1 - by_chance)
