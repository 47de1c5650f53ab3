"""MOIT+ (https://arxiv.org/abs/2012.04462): MOIT, then a new classifier trained on the labels it believes.

The doubted images are left out, views are weak, and from some epoch on every target is one fifth the net's own
prediction. Page: ``docs/methods/moit-plus.md``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime, generator
from noisyclean.data.augment import FixedView
from noisyclean.engine.descent import Figures
from noisyclean.engine.optim import one_cycle
from noisyclean.ops.mix import one_hot, random_mixup, soft_cross_entropy
from noisyclean.ranges import Range
from noisyclean.robust.judging import Recorder
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.methods.moit import Moit, MoitSettings
from noisyclean.robust.sampling import repeated_rows
from noisyclean.robust.student import Student, believe
from noisyclean.types import Evidence

__all__ = ["MoitPlus", "MoitPlusSettings"]

FEWEST_BELIEVED = 2
"""Images that a batch needs for its statistics."""


@dataclass(frozen=True, kw_only=True)
class MoitPlusSettings(MoitSettings):
    """MOIT's settings, and those of the training after it."""

    plus_epochs: Annotated[int, Range(at_least=1)]
    """Epochs of the training on believed labels, after MOIT's own."""
    plus_lr: Annotated[float, Range(above=0)] = 0.001
    """Largest rate of that training."""
    plus_is_constant: bool = False
    """Keep that rate, as published; else one cycle."""
    plus_mixup_alpha: Annotated[float, Range(at_least=0)] = 1.0
    """Of the Beta distribution of its mixup; 0 switches it off."""
    bootstrap_after: Annotated[int, Range()] = -1
    """Epochs of this training after which targets are partly the net's own predictions; negative is half of them."""
    bootstrap: Annotated[float, Range(at_least=0, at_most=1)] = 0.8
    """delta, the share of the label in such a target."""


@methods.register("moit-plus")
class MoitPlus:
    """MOIT, then a new classifier trained on the labels it believes, with bootstrapping."""

    settings_type: ClassVar[type] = MoitPlusSettings
    needs_truth: ClassVar[bool] = False
    published_holdout: ClassVar[float] = 0.0

    def __init__(
        self, *, data: TrainingData, make_net: NetMaker, settings: MoitPlusSettings, runtime: Runtime, seed: int
    ) -> None:
        self.data = data
        self.settings = settings
        self.runtime = runtime
        self.seed = seed
        self.num_epochs = settings.epochs + settings.plus_epochs
        after = settings.bootstrap_after
        self.bootstrap_after = after if after >= 0 else settings.plus_epochs // 2
        self.moit = Moit(data=data, make_net=make_net, settings=settings, runtime=runtime, seed=seed)
        self.notes: list[str] = []
        self.tuned: Student | None = None
        self.row_R = data.train_T
        self._order: tuple[int, Tensor] = (-1, data.train_T)
        self._recorder = Recorder(data, runtime, num_nets=1, num_epochs=settings.plus_epochs)

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[MoitPlusSettings, Mapping[str, str]]:
        """MOIT's plan with three quarters of the budget, and the rest for what follows."""
        share = 1.0 if preset == "paper" else 0.75
        moit, reasons = Moit.plan(preset, replace(facts, passes=share * facts.passes))
        settings = {item.name: getattr(moit, item.name) for item in fields(moit)}
        if preset == "paper":
            return MoitPlusSettings(**settings, plus_epochs=70, plus_is_constant=True, bootstrap_after=30), {
                "robust": "paper: MOIT+ as on CIFAR"
            }
        epochs = replace(facts, passes=(1 - share) * facts.passes).epochs_at(3)
        plus = MoitPlusSettings(**settings, plus_epochs=epochs, plus_lr=facts.rate / 5)
        return plus, {**reasons, "plus_epochs": f"{epochs}: a quarter of the budget, 3 passes an epoch"}

    def num_steps(self, epoch: int) -> int:
        """MOIT's own; then one pass over the believed labels."""
        if epoch < self.settings.epochs:
            return self.moit.num_steps(epoch)
        return max(1, len(self.row_R) // self.settings.batch)

    def begin_epoch(self, epoch: int) -> None:
        """MOIT's own; when it is over, choose the labels and put a new classifier in place."""
        if epoch < self.settings.epochs:
            self.moit.begin_epoch(epoch)
        elif epoch == self.settings.epochs:
            self.row_R = self._believed_rows(epoch)
            self.tuned = self._with_new_classifier()

    def step(self, epoch: int, step: int) -> Figures:
        """MOIT's own; then mixup on believed labels."""
        if self.tuned is None:
            return self.moit.step(epoch, step)
        since = epoch - self.settings.epochs
        row_B, is_bootstrapped = self._rows(epoch)[step], since >= self.bootstrap_after
        return self.tuned.descent.step(
            partial(self._tuning_loss, self.tuned, is_bootstrapped),
            self.data.pixels.take(row_B),
            self.data.pixels.on_device(row_B),
            seed=seed_from(self.seed, "moit-plus", since, step),
            rate=self._rate(since, step / self.num_steps(epoch)),
            kind=is_bootstrapped,
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """MOIT's own figures; then record every image, in the epochs chosen for it."""
        if self.tuned is None:
            return self.moit.figures()
        self._recorder.after_epoch(epoch - self.settings.epochs, self.nets())
        return {"believed": len(self.row_R) / len(self.data.train_T)}

    def predictor(self) -> nn.Module:
        """The net with the new classifier, once there is one."""
        return self.moit.predictor() if self.tuned is None else self.tuned.best

    def nets(self) -> Sequence[nn.Module]:
        """The predictor alone."""
        return [self.predictor()]

    def evidence(self) -> Evidence:
        """As the new classifier sees the images, and by how much MOIT's neighbours disagree."""
        return self._recorder.evidence(self.nets(), neighbour_disagreement_N=self.moit.disagreement_of_all())

    def state_dict(self) -> dict[str, Any]:
        """MOIT's state, and that of the training after it."""
        return {
            "moit": self.moit.state_dict(),
            "tuned": None if self.tuned is None else self.tuned.state_dict(),
            "row_R": self.row_R,
            "notes": self.notes,
            "recorder": self._recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.moit.load_state_dict(state["moit"])
        self.row_R = state["row_R"].to(self.runtime.device)
        self.notes = list(state["notes"])
        if state["tuned"] is not None:
            self.tuned = self._with_new_classifier()
            self.tuned.load_state_dict(state["tuned"])
        self._recorder.load_state_dict(state["recorder"])

    def _tuning_loss(
        self, tuned: Student, is_bootstrapped: bool, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor
    ) -> Figures:
        """Cross-entropy of mixed images, perhaps partly against the net's own predictions."""
        target_BC = self.data.given(index_B)
        if is_bootstrapped:
            p_BC = believe(tuned.best, self.data.pixels.fixed(x_BHWI, FixedView()), self.runtime)
            own_BC = one_hot(p_BC.argmax(dim=1), self.data.num_classes)
            mixed_BC = torch.lerp(own_BC, target_BC, self.settings.bootstrap)
            target_BC = torch.where(self.data.verified_N[index_B, None], target_BC, mixed_BC)
        x_BIHW = self.data.pixels.random(x_BHWI, self.data.weak, draw)
        x_BIHW, target_BC = random_mixup(x_BIHW, target_BC, alpha=self.settings.plus_mixup_alpha, generator=draw)
        return {"loss": soft_cross_entropy(tuned.logits(x_BIHW), target_BC).mean()}

    def _believed_rows(self, epoch: int) -> Tensor:
        """Rows whose labels MOIT believes; all where these are too few to train on."""
        row_R = self.data.train_T[self.moit.ask(self.data.train_T).is_believed_N[self.data.train_T]]
        if len(row_R) >= FEWEST_BELIEVED:
            return row_R
        self.notes.append(f"epoch {epoch + 1}: {len(row_R)} labels are believed, so all are trained on")
        return self.data.train_T

    def _with_new_classifier(self) -> Student:
        """A copy of MOIT's net whose classifier starts anew, under its own optimiser."""
        net = copy.deepcopy(self.moit.predictor()).requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_from(self.seed, "init", "moit-plus"))
            net.reset_classifier(self.data.num_classes)  # type: ignore[operator]
        return Student(
            net.to(self.runtime.device),
            self.settings,
            num_steps=self.settings.plus_epochs * self.num_steps(self.settings.epochs),
            runtime=self.runtime,
        )

    def _rows(self, epoch: int) -> Tensor:
        """Batches of the epoch's believed rows beside the images, shape (steps, B)."""
        if self._order[0] != epoch:
            draw = generator(self.runtime.device, self.seed, "moit-plus", "order", epoch)
            batch = min(self.settings.batch, len(self.row_R))
            rows = repeated_rows(self.row_R, num_steps=self.num_steps(epoch), batch=batch, draw=draw)
            self._order = (epoch, self.data.pixels.beside(rows))
        return self._order[1]

    def _rate(self, since: int, share: float) -> float:
        if self.settings.plus_is_constant:
            return self.settings.plus_lr
        return one_cycle((since + share) / self.settings.plus_epochs, peak=self.settings.plus_lr)
