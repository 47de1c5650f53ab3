"""Label refinery: learn the given labels, ask what each of them probably is, and learn that.

One net, trained twice. The first training is short, and mixup and a weight average hold memorising back; what its net
makes of the images is weighed against the labels and all else that is known, as an audit weighs it, and in the second
one the net learns each image's calibrated class probabilities. Training on a net's own soft labels is label refinery
(https://arxiv.org/abs/1805.02641), on noisy labels self-evolution (https://arxiv.org/abs/2012.05458); calibrating them,
weighing the given labels in, and going on with the same net are ours. Cost: 3 passes an epoch, and a forward pass for
each of a few views after each training. Page: ``docs/methods/label-refinery.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.data.batches import ShuffledBatches
from noisyclean.engine.descent import Figures
from noisyclean.ops.mix import one_hot, random_mixup, soft_cross_entropy
from noisyclean.ranges import Range
from noisyclean.robust.judging import Recorder
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.schedule import Schedule
from noisyclean.robust.student import Student
from noisyclean.types import Evidence

__all__ = ["LabelRefinery", "LabelRefinerySettings"]

FIRST_SHARE = 0.65
"""Of the budget, for the given labels."""
MOST_FIRST_EPOCHS = 40
"""More passes over noisy labels only teach the noise."""


@dataclass(frozen=True, kw_only=True)
class LabelRefinerySettings(Schedule):
    """Two trainings, each with a cycle of the learning rate; ``epochs`` are those on the given labels."""

    refined_epochs: Annotated[int, Range(at_least=1)] = 1
    """Epochs after these, in which the net learns what the labels probably are."""
    refined_mixup_alpha: Annotated[float, Range(at_least=0)] = 0.2
    """Of mixup in these; 0 switches it off."""

    def refined(self) -> LabelRefinerySettings:
        """The settings that the second training has."""
        return replace(self, epochs=self.refined_epochs, mixup_alpha=self.refined_mixup_alpha)


@methods.register("label-refinery")
class LabelRefinery:
    """Learn the given labels, then what each of them probably is."""

    settings_type: ClassVar[type] = LabelRefinerySettings
    needs_truth: ClassVar[bool] = False
    published_holdout: ClassVar[float] = 0.0

    def __init__(
        self, *, data: TrainingData, make_net: NetMaker, settings: LabelRefinerySettings, runtime: Runtime, seed: int
    ) -> None:
        assert data.posterior is not None, "whoever refines labels is told what they probably are"
        self.posterior = data.posterior
        self.data = data
        self.settings = settings
        self.runtime = runtime
        self.seed = seed
        self.num_epochs = settings.epochs + settings.refined_epochs
        self.notes: list[str] = []
        self.batches = ShuffledBatches(
            data.pixels.beside(data.train_T), settings.batch, seed=seed, key=("label-refinery",)
        )
        self.student = Student(
            make_net(0), settings, num_steps=settings.epochs * self.batches.num_steps, runtime=runtime
        )
        self.target_NC: Tensor | None = None
        """What each image probably is, once that is known."""
        self._recorder = Recorder(data, runtime, num_nets=1, num_epochs=self.num_epochs)

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[LabelRefinerySettings, Mapping[str, str]]:
        """A short training on the given labels, and what is left of the budget for the refined ones."""
        epochs = max(2, facts.epochs_at(3))
        first = min(max(1, round(FIRST_SHARE * epochs)), MOST_FIRST_EPOCHS)
        settings = LabelRefinerySettings(epochs=first, refined_epochs=epochs - first, batch=facts.batch, lr=facts.rate)
        return settings, {
            "epochs": f"{first} on the given labels, {epochs - first} on refined ones: {preset} pays for "
            f"{facts.passes:.0f} passes over the images, 3 an epoch"
        }

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        """The same in every epoch."""
        return self.batches.num_steps

    def begin_epoch(self, epoch: int) -> None:
        """Between the two trainings, ask what the images probably are."""
        if epoch == self.settings.epochs:
            self.target_NC = self._refined_labels()

    def step(self, epoch: int, step: int) -> Figures:
        """One step on a batch of given or of refined labels."""
        row_B = self.batches.rows(epoch, step)
        index_B = self.data.pixels.on_device(row_B)
        if self.target_NC is None:
            settings, since, target_BC = self.settings, epoch, self.data.given(index_B)
        else:
            settings, since, target_BC = self.settings.refined(), epoch - self.settings.epochs, self.target_NC[index_B]
        return self.student.descent.step(
            partial(self._mixed_loss, settings.mixup_alpha),
            self.data.pixels.take(row_B),
            target_BC,
            seed=seed_from(self.seed, "label-refinery", epoch, step),
            rate=settings.rate(since, step / self.batches.num_steps),
            kind=settings.mixup_alpha,
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Record every image at the end of each training."""
        if epoch in (self.settings.epochs - 1, self.num_epochs - 1):
            self._recorder.record(self.nets())
        if self.target_NC is None:
            return {}
        given_T1 = self.data.label_N[self.data.train_T, None]
        return {"believed": float(self.target_NC[self.data.train_T].gather(1, given_T1).mean())}

    def predictor(self) -> nn.Module:
        """The averaged net, or the net itself."""
        return self.student.best

    def nets(self) -> Sequence[nn.Module]:
        """The predictor alone."""
        return [self.predictor()]

    def evidence(self) -> Evidence:
        """What the net thought after the two trainings, in the mean, its features, and the left-out classifier's word.

        It has learnt what the two thought before, so by its last opinion alone it contradicts too few labels.
        """
        return self._recorder.evidence(self.nets(), outside_log_p_NC=self.data.outside_log_p_NC)

    def state_dict(self) -> dict[str, Any]:
        """The student, the refined labels and the recordings."""
        return {
            "student": self.student.state_dict(),
            "target_NC": self.target_NC,
            "recorder": self._recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.student.load_state_dict(state["student"])
        self.target_NC = None if state["target_NC"] is None else state["target_NC"].to(self.runtime.device)
        self._recorder.load_state_dict(state["recorder"])

    def _refined_labels(self) -> Tensor:
        """Class probabilities of every image, shape (N, C), float32: what it probably is."""
        target_NC = torch.from_numpy(self.posterior(self._recorder.opinion())).float().to(self.runtime.device)
        given_NC = one_hot(self.data.label_N, self.data.num_classes)
        return torch.where(self.data.verified_N[:, None], given_NC, target_NC)

    def _mixed_loss(self, alpha: float, draw: torch.Generator, x_BHWI: Tensor, target_BC: Tensor) -> Figures:
        """Cross-entropy of mixed images."""
        views = self.data.strong if self.settings.has_strong_views else self.data.weak
        x_BIHW = self.data.pixels.random(x_BHWI, views, draw)
        x_BIHW, target_BC = random_mixup(x_BIHW, target_BC, alpha=alpha, generator=draw)
        return {"loss": soft_cross_entropy(self.student.logits(x_BIHW), target_BC).mean()}
