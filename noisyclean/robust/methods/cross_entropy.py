"""Plain training with cross-entropy, mixup and a weight average: the baseline every method has to beat.

Mixup (https://arxiv.org/abs/1710.09412) and averaged weights hold memorising back at no cost; with both switched off
(``--set robust.mixup_alpha=0 --set robust.ema_decay=0``) this is what people train who do not know that their labels
are noisy. Cost: 3 passes an epoch. Page: ``docs/methods/cross-entropy.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.data.batches import ShuffledBatches
from noisyclean.engine.descent import Figures
from noisyclean.ops.mix import random_mixup, soft_cross_entropy
from noisyclean.robust.judging import Recorder
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.schedule import Schedule
from noisyclean.robust.student import Student
from noisyclean.types import Evidence

__all__ = ["CrossEntropy", "CrossEntropySettings"]

MOST_EPOCHS = 200
"""More passes over noisy labels only teach the noise."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropySettings(Schedule):
    """One net, one loss."""


@methods.register("cross-entropy")
class CrossEntropy:
    """Cross-entropy with mixup and a weight average: the fair baseline."""

    settings_type: ClassVar[type] = CrossEntropySettings
    needs_truth: ClassVar[bool] = False
    published_holdout: ClassVar[float] = 0.0

    def __init__(
        self, *, data: TrainingData, make_net: NetMaker, settings: CrossEntropySettings, runtime: Runtime, seed: int
    ) -> None:
        self.data = data
        self.settings = settings
        self.runtime = runtime
        self.seed = seed
        self.num_epochs = settings.epochs
        self.notes: list[str] = []
        self.batches = ShuffledBatches(
            data.pixels.beside(data.train_T), settings.batch, seed=seed, key=("cross-entropy",)
        )
        self.student = Student(
            make_net(0), settings, num_steps=settings.epochs * self.batches.num_steps, runtime=runtime
        )
        self._recorder = Recorder(data, runtime, num_nets=1, num_epochs=settings.epochs)

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[CrossEntropySettings, Mapping[str, str]]:
        """As many epochs as the budget pays for."""
        epochs = min(facts.epochs_at(3), MOST_EPOCHS)
        settings = CrossEntropySettings(epochs=epochs, batch=facts.batch, lr=facts.rate)
        return settings, {
            "epochs": f"{epochs}: {preset} pays for {facts.passes:.0f} passes over the images, 3 an epoch"
        }

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        """The same in every epoch."""
        return self.batches.num_steps

    def begin_epoch(self, epoch: int) -> None:
        """Nothing is decided here."""

    def step(self, epoch: int, step: int) -> Figures:
        """One step on a mixed batch."""
        row_B = self.batches.rows(epoch, step)
        return self.student.descent.step(
            self._mixed_loss,
            self.data.pixels.take(row_B),
            self.data.pixels.on_device(row_B),
            seed=seed_from(self.seed, "cross-entropy", epoch, step),
            rate=self.settings.rate(epoch, step / self.batches.num_steps),
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Record every image, in the epochs chosen for it."""
        self._recorder.after_epoch(epoch, self.nets())
        return {}

    def predictor(self) -> nn.Module:
        """The averaged net, or the net itself."""
        return self.student.best

    def nets(self) -> Sequence[nn.Module]:
        """The predictor alone."""
        return [self.predictor()]

    def evidence(self) -> Evidence:
        """Losses, margins, probabilities and features."""
        return self._recorder.evidence(self.nets())

    def state_dict(self) -> dict[str, Any]:
        """The student and the recordings."""
        return {"student": self.student.state_dict(), "recorder": self._recorder.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.student.load_state_dict(state["student"])
        self._recorder.load_state_dict(state["recorder"])

    def _mixed_loss(self, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor) -> Figures:
        views = self.data.strong if self.settings.has_strong_views else self.data.weak
        x_BIHW = self.data.pixels.random(x_BHWI, views, draw)
        x_BIHW, target_BC = random_mixup(
            x_BIHW, self.data.given(index_B), alpha=self.settings.mixup_alpha, generator=draw
        )
        return {"loss": soft_cross_entropy(self.student.logits(x_BIHW), target_BC).mean()}
