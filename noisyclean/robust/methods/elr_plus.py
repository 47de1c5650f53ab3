"""ELR+ (https://arxiv.org/abs/2007.00151): two nets, each held to what the other's average believed early on.

Nets learn the right labels first. A running average of each image's predictions remembers that, and a penalty keeps the
net near it when it would start to memorise. ``paper`` is the published schedule; the other presets fit their epochs
into a budget. Page: ``docs/methods/elr-plus.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.data.batches import ShuffledBatches
from noisyclean.engine.descent import Figures
from noisyclean.ops.elr import CLAMP, elr_penalty, moved_targets
from noisyclean.ops.mix import beta_sample, sigmoid_ramp, soft_cross_entropy
from noisyclean.ranges import Range
from noisyclean.robust.judging import Recorder
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.schedule import Schedule
from noisyclean.robust.student import Student, believe
from noisyclean.robust.views import EASY, EASY_REASON, StrongViews
from noisyclean.types import Evidence

__all__ = ["ElrPlus", "ElrPlusSettings"]


@dataclass(frozen=True, kw_only=True)
class ElrPlusSettings(Schedule):
    """Counts, rates and choices of ELR+."""

    num_nets: Annotated[int, Range(at_least=1)] = 2
    """2 as published; 1 is held to its own average."""
    lr: float = 0.02
    beta: Annotated[float, Range(at_least=0, below=1)] = 0.7
    """Share of the remembered target that is kept each time."""
    strength: Annotated[float, Range(at_least=0)] = 3.0
    """lambda, the weight of the penalty."""
    strength_ramp_steps: Annotated[int, Range(at_least=0)] = 0
    """Steps over which it rises."""
    strong_from: Annotated[float, Range(at_most=1)] = 0.0
    """With strong views: only where neighbours in the start's features agree with the labels by this Cohen's kappa."""
    ema_ramp_steps: Annotated[int, Range(at_least=0)] = 0
    """Steps over which the decay of the weight averages rises from nearly 0."""
    refines_labels: bool = False
    """Multiply the mixed labels by the targets, as the published code does on CIFAR-100 and the paper does not say."""
    predicts_with_average: bool = True
    """Predict with the averages; the paper predicts with the nets themselves."""


@methods.register("elr-plus")
class ElrPlus:
    """Hold each net to what the other's average believed early on (with SimCLR: C2D + ELR+)."""

    settings_type: ClassVar[type] = ElrPlusSettings
    needs_truth: ClassVar[bool] = False
    published_holdout: ClassVar[float] = 0.1

    def __init__(
        self, *, data: TrainingData, make_net: NetMaker, settings: ElrPlusSettings, runtime: Runtime, seed: int
    ) -> None:
        self.data = data
        self.settings = settings
        self.runtime = runtime
        self.seed = seed
        self.num_epochs = settings.epochs
        self.batches = [
            ShuffledBatches(data.pixels.beside(data.train_T), settings.batch, seed=seed, key=("elr-plus", index))
            for index in range(settings.num_nets)
        ]
        self.students = [
            Student(make_net(index), settings, num_steps=settings.epochs * self.batches[0].num_steps, runtime=runtime)
            for index in range(settings.num_nets)
        ]
        shape = (settings.num_nets, len(data.label_N), data.num_classes)
        self.target_LNC = torch.zeros(shape, device=runtime.device)
        self.strong = StrongViews(data, least_agreement=settings.strong_from, runtime=runtime)
        self._recorder = Recorder(data, runtime, num_nets=settings.num_nets, num_epochs=settings.epochs)

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[ElrPlusSettings, Mapping[str, str]]:
        """The published schedule, or one net's epochs that fit into the budget."""
        if preset == "paper":
            return _published(facts)
        epochs = facts.epochs_at(4)
        settings = ElrPlusSettings(
            num_nets=1,
            epochs=epochs,
            batch=facts.batch,
            lr=facts.rate,
            beta=0.9,
            has_strong_views=True,
            strong_from=EASY,
        )
        return settings, {
            "epochs": f"{epochs}: {preset} pays for {facts.passes:.0f} passes over the images, 4 an epoch",
            "views": EASY_REASON,
        }

    @property
    def notes(self) -> list[str]:
        """Which views were chosen, and why."""
        return self.strong.notes

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        """Steps of all nets, one net after the other; the same in every epoch."""
        return len(self.students) * self.batches[0].num_steps

    def begin_epoch(self, epoch: int) -> None:
        """Choose the views, before the first."""
        if self.settings.has_strong_views:
            self.strong.choose(epoch, self.nets()[0])

    def step(self, epoch: int, step: int) -> Figures:
        """One step of one net: remember what the other's average believes, mix, learn."""
        index, step = divmod(step, self.batches[0].num_steps)
        row_B, student = self.batches[index].rows(epoch, step), self.students[index]
        done = epoch * self.batches[0].num_steps + step
        strength = self.settings.strength * sigmoid_ramp(done, self.settings.strength_ramp_steps)
        if student.average is not None:
            student.average.decay = student.ema_decay * sigmoid_ramp(done + 1, self.settings.ema_ramp_steps)
        return student.descent.step(
            partial(self._held_loss, index),
            self.data.pixels.take(row_B),
            self.data.pixels.on_device(row_B),
            torch.full((), strength, device=self.runtime.device),
            seed=seed_from(self.seed, "elr-plus", index, epoch, step),
            rate=self.settings.rate(epoch, step / self.batches[0].num_steps),
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Record every image, in the epochs chosen for it."""
        self._recorder.after_epoch(epoch, self.nets())
        return {}

    def predictor(self) -> nn.Module:
        """The first net, or the average of its weights."""
        return self.nets()[0]

    def nets(self) -> Sequence[nn.Module]:
        """All nets; the paper averages their logits."""
        if self.settings.predicts_with_average:
            return [student.best for student in self.students]
        return [student.net for student in self.students]

    def evidence(self) -> Evidence:
        """Losses, margins, probabilities and features, and the remembered targets."""
        target_NC = self.target_LNC.mean(dim=0)
        remembered_N = target_NC.sum(dim=1) > 0
        target_NC[~remembered_N] = 1 / self.data.num_classes
        target_NC = target_NC / target_NC.sum(dim=1, keepdim=True)
        return self._recorder.evidence(self.nets(), target_NC=target_NC.cpu().numpy())

    def state_dict(self) -> dict[str, Any]:
        """Students, the remembered targets and the recordings."""
        return {
            "students": [student.state_dict() for student in self.students],
            "target_LNC": self.target_LNC,
            "strong": self.strong.state_dict(),
            "recorder": self._recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        for student, saved in zip(self.students, state["students"], strict=True):
            student.load_state_dict(saved)
        self.target_LNC.copy_(state["target_LNC"])
        self.strong.load_state_dict(state["strong"])
        self._recorder.load_state_dict(state["recorder"])

    def _held_loss(
        self, index: int, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor, strength: Tensor
    ) -> Figures:
        """Cross-entropy of mixed images, and the penalty for leaving the mixed targets."""
        x_BIHW = self.data.pixels.random(x_BHWI, self.data.weak, draw)
        target_BC = self._remember(index, index_B, x_BIHW)
        if self.settings.has_strong_views and self.strong.is_strong:
            x_BIHW = self.data.pixels.random(x_BHWI, self.data.strong, draw)
        given_BC = self.data.given(index_B)
        if self.settings.mixup_alpha > 0:
            share = beta_sample(self.settings.mixup_alpha, draw)
            share = torch.maximum(share, 1 - share)
            partner_B = torch.randperm(len(index_B), generator=draw, device=draw.device)
            x_BIHW, given_BC, target_BC = (
                torch.lerp(value[partner_B], value, share) for value in (x_BIHW, given_BC, target_BC)
            )
        logits_BC = self.students[index].logits(x_BIHW)
        penalty = elr_penalty(logits_BC, target_BC)
        if self.settings.refines_labels:
            given_BC = nn.functional.normalize(given_BC * target_BC.clamp(min=CLAMP), p=1, dim=1)
        loss = soft_cross_entropy(logits_BC, given_BC).mean() + strength * penalty
        return {f"loss {index + 1}": loss, f"penalty {index + 1}": penalty}

    def _remember(self, index: int, index_B: Tensor, x_BIHW: Tensor) -> Tensor:
        """Move the targets of a net's batch by the other net's beliefs, and return them."""
        p_BC = believe(self.students[index - 1].best, x_BIHW, self.runtime)
        target_BC = moved_targets(self.target_LNC[index, index_B], p_BC, beta=self.settings.beta)
        verified_B1 = self.data.verified_N[index_B, None]
        given_BC = self.data.given(index_B)
        target_BC = torch.where(verified_B1, given_BC, target_BC)
        self.target_LNC[index, index_B] = target_BC
        return target_BC


def _published(facts: Facts) -> tuple[ElrPlusSettings, Mapping[str, str]]:
    """The CIFAR-10 settings up to 20 classes, those of CIFAR-100 above."""
    if facts.num_classes <= 20:
        settings = ElrPlusSettings(
            epochs=200,
            drop_epochs=(150,),
            optimizer="plain-sgd",
            ema_decay=0.997,
            ema_ramp_steps=40_000,
            predicts_with_average=False,
        )
        return settings, {"robust": "paper: ELR+ as on CIFAR-10"}
    settings = ElrPlusSettings(
        epochs=250,
        drop_epochs=(200,),
        optimizer="plain-sgd",
        ema_decay=0.997,
        beta=0.9,
        strength=7.0,
        strength_ramp_steps=40_000,
        ema_ramp_steps=40_000,
        refines_labels=True,
        predicts_with_average=False,
    )
    return settings, {"robust": "paper: ELR+ as on CIFAR-100"}
