"""DivideMix (https://arxiv.org/abs/2002.07394); started from SimCLR it is C2D (https://arxiv.org/abs/2103.13646).

Nets divide the labels, each for the other; what is not believed keeps its image and gets a guess; both are learnt from.
``paper`` is the published schedule with MixMatch and a division by losses; the other presets warm up with mixup and a
weight average, divide as an audit judges, guess with the averages, and fit their epochs into a budget. Page:
``docs/methods/dividemix.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime, generator
from noisyclean.data.batches import ShuffledBatches
from noisyclean.engine.descent import Figures, FiguresOf
from noisyclean.ops.mix import linear_ramp, random_mixup, soft_cross_entropy
from noisyclean.ops.mixmatch import negative_entropy, prior_penalty, semi_supervised_loss
from noisyclean.robust.co_division import CoDivision, line_of, wrong_log_odds
from noisyclean.robust.dividemix_settings import DivideMixSettings, plan_dividemix
from noisyclean.robust.division import Divider, JudgedDivider, LossDivider
from noisyclean.robust.judging import Recorder
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.sampling import repeated_rows
from noisyclean.robust.student import Student, believe
from noisyclean.robust.views import StrongViews
from noisyclean.types import Evidence

__all__ = ["DivideMix", "make_divider"]

NOISY_ENOUGH, VERY_NOISY = 0.45, 0.8
"""Estimated noise rates from which the unlabelled loss helps, and from which it is doubled."""
ALONE = "fewer labels than a batch were doubted: where that was so, the believed ones were learnt from alone"


def make_divider(data: TrainingData, settings: DivideMixSettings, *, seed: int) -> Divider:
    """What divides as the settings say."""
    line = line_of(data, threshold=settings.threshold, class_floor=settings.class_floor)
    if settings.divide_by == "losses":
        return LossDivider(line, cap_quantile=settings.cap_quantile, seed=seed)
    assert data.posterior is not None, "whoever divides by judgement is told what labels probably are"
    return JudgedDivider(line, train_T=data.train_T, num_images=len(data.label_N), posterior=data.posterior)


@methods.register("dividemix")
class DivideMix:
    """Divide the labels, guess what is not believed, learn from both (C2D when started from SimCLR)."""

    settings_type: ClassVar[type] = DivideMixSettings
    needs_truth: ClassVar[bool] = False
    published_holdout: ClassVar[float] = 0.0

    def __init__(
        self,
        *,
        data: TrainingData,
        make_net: NetMaker,
        settings: DivideMixSettings,
        runtime: Runtime,
        seed: int,
        divider: Divider | None = None,
    ) -> None:
        self.data = data
        self.settings = settings
        self.runtime = runtime
        self.seed = seed
        self.num_epochs = settings.epochs
        self.num_warmup_epochs = settings.num_warmup_epochs
        self.batches = [
            ShuffledBatches(data.pixels.beside(data.train_T), 2 * settings.batch, seed=seed, key=("dividemix", index))
            for index in range(settings.num_nets)
        ]
        self.students = [
            Student(make_net(index), settings, num_steps=settings.epochs * self.batches[0].num_steps, runtime=runtime)
            for index in range(settings.num_nets)
        ]
        self.beliefs = CoDivision(
            data,
            divider or make_divider(data, settings, seed=seed),
            num_nets=settings.num_nets,
            follows_prior=settings.prior == "estimated",
            neighbour_share=settings.neighbour_share,
            keeps_doubted=settings.learn == "refined",
            runtime=runtime,
        )
        self.strong = StrongViews(data, least_agreement=settings.strong_from, runtime=runtime)
        self.lambda_per_class = 0.0
        self._paired: dict[tuple[int, int], Tensor] = {}
        self._recorder = Recorder(data, runtime, num_nets=settings.num_nets, num_epochs=settings.epochs)

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[DivideMixSettings, Mapping[str, str]]:
        """The published schedule, or epochs that fit into the budget."""
        return plan_dividemix(preset, facts)

    def num_steps(self, epoch: int) -> int:
        """Steps of all nets, one net after the other."""
        return sum(self._steps_of_net(index, epoch) for index in range(len(self.students)))

    @property
    def notes(self) -> list[str]:
        """Which views were chosen, and what the division fell back to."""
        return self.strong.notes + self.beliefs.notes

    def begin_epoch(self, epoch: int) -> None:
        """Choose views first of all; after the warm-up divide and guess; in it see whether the noise is asymmetric."""
        since = epoch - self.num_warmup_epochs
        if self.settings.has_strong_views or self.settings.warmup_has_strong_views:
            self.strong.choose(epoch, self.nets()[0])
        if since < 0 and epoch > 0 and self.settings.confidence_penalty == "asymmetric":
            self.beliefs.update(epoch, self.nets())
        if since < 0 or since % self.settings.divide_every:
            return
        self.beliefs.update(epoch, self.nets())
        is_alone = self.settings.learn == "mixmatch" and any(map(self._learns_alone, range(len(self.students))))
        if is_alone and ALONE not in self.beliefs.notes:
            self.beliefs.notes.append(ALONE)
        if since == 0:
            self.lambda_per_class = self._choose_lambda(self.beliefs.noise_rate)

    def step(self, epoch: int, step: int) -> Figures:
        """One step of one net."""
        index = 0
        while step >= (num := self._steps_of_net(index, epoch)):
            index, step = index + 1, step - num
        phase = "warm-up" if epoch < self.num_warmup_epochs else self.settings.learn
        row_B = self._paired_rows(index, epoch)[step] if phase == "mixmatch" else self.batches[index].rows(epoch, step)
        since = epoch - self.num_warmup_epochs + step / num
        weight = self.lambda_per_class * linear_ramp(since, self.settings.ramp_epochs)
        losses: dict[str, FiguresOf] = {
            "warm-up": self._warmup_loss,
            "refined": self._refined_loss,
            "mixmatch": self._mixmatch_loss,
        }
        return self.students[index].descent.step(
            partial(losses[phase], index),
            self.data.pixels.take(row_B),
            self.data.pixels.on_device(row_B),
            torch.full((), weight, device=self.runtime.device),
            seed=seed_from(self.seed, "dividemix", index, epoch, step),
            rate=self.settings.rate(epoch, step / num),
            clip_norm=self.settings.warmup_clip_norm if phase == "warm-up" else 0.0,
            kind=(phase, phase == "warm-up" and self._is_penalised),
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Record every image, in the epochs chosen for it."""
        self._recorder.after_epoch(epoch, self.nets())
        if not self.beliefs.divisions:
            return {}
        return {"believed": self.beliefs.share_labelled, "noise rate": self.beliefs.noise_rate}

    def predictor(self) -> nn.Module:
        """The first net, its weights averaged where an average is kept."""
        return self.students[0].best

    def nets(self) -> Sequence[nn.Module]:
        """All nets; the paper sums their logits."""
        return [student.best for student in self.students]

    def evidence(self) -> Evidence:
        """Losses, margins, probabilities and features, and the log-odds of a last division of all images."""
        odds_N = wrong_log_odds(self.nets(), self.data, self.runtime, seed=self.seed)
        return self._recorder.evidence(self.nets(), division_N=odds_N)

    def state_dict(self) -> dict[str, Any]:
        """Students, beliefs and the recordings."""
        return {
            "students": [student.state_dict() for student in self.students],
            "beliefs": self.beliefs.state_dict(),
            "strong": self.strong.state_dict(),
            "lambda_per_class": self.lambda_per_class,
            "recorder": self._recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        for student, saved in zip(self.students, state["students"], strict=True):
            student.load_state_dict(saved)
        self.beliefs.load_state_dict(state["beliefs"])
        self.strong.load_state_dict(state["strong"])
        self.lambda_per_class = state["lambda_per_class"]
        self._recorder.load_state_dict(state["recorder"])

    def _warmup_loss(self, index: int, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor, _: Tensor) -> Figures:
        """Cross-entropy of the given labels, perhaps of mixed images, perhaps with a penalty on confidence."""
        views = self.strong.views if self.settings.warmup_has_strong_views else self.data.weak
        x_BIHW = self.data.pixels.random(x_BHWI, views, draw)
        target_BC = self.data.given(index_B)
        x_BIHW, target_BC = random_mixup(x_BIHW, target_BC, alpha=self.settings.warmup_mixup_alpha, generator=draw)
        logits_BC = self.students[index].logits(x_BIHW)
        loss = soft_cross_entropy(logits_BC, target_BC).mean()
        return {f"loss {index + 1}": loss + negative_entropy(logits_BC) if self._is_penalised else loss}

    def _refined_loss(self, index: int, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor, _: Tensor) -> Figures:
        """Cross-entropy of refined targets, every image alike."""
        weak_BIHW = self.data.pixels.random(x_BHWI, self.data.weak, draw)
        guess_BC = self._guess(index, index_B, [weak_BIHW])
        target_BC = self.beliefs.targets(index, index_B, guess_BC, temperature=self.settings.temperature)
        learns_strong = self.settings.has_strong_views and self.strong.is_strong
        x_BIHW = self.data.pixels.random(x_BHWI, self.data.strong, draw) if learns_strong else weak_BIHW
        x_BIHW, target_BC = random_mixup(x_BIHW, target_BC, alpha=self.settings.mixup_alpha, generator=draw)
        return {f"loss {index + 1}": soft_cross_entropy(self.students[index].logits(x_BIHW), target_BC).mean()}

    def _mixmatch_loss(
        self, index: int, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor, weight: Tensor
    ) -> Figures:
        """MixMatch on a batch of labelled and as many unlabelled rows, if there are, every one in several views."""
        num_labelled = self.settings.batch
        views = [self.data.pixels.random(x_BHWI, self.data.weak, draw) for _ in range(self.settings.num_views)]
        guess_BC = self._guess(index, index_B, views, num_labelled=num_labelled)
        target_BC = self.beliefs.targets(index, index_B, guess_BC, temperature=self.settings.temperature)
        if self.settings.has_strong_views and self.strong.is_strong:
            views = [self.data.pixels.random(x_BHWI, self.data.strong, draw) for _ in views]
        halves = [view[:num_labelled] for view in views] + [view[num_labelled:] for view in views]
        targets = [target_BC[:num_labelled]] * len(views) + [target_BC[num_labelled:]] * len(views)
        x_BIHW, target_BC = random_mixup(
            torch.cat(halves), torch.cat(targets), alpha=self.settings.mixup_alpha, generator=draw
        )
        num_labelled *= len(views)
        kept = slice(None) if self.lambda_per_class > 0 else slice(num_labelled)
        logits_BC = self.students[index].logits(x_BIHW[kept])
        loss = semi_supervised_loss(logits_BC, target_BC[kept], num_labelled=num_labelled, lambda_per_class=weight)
        return {f"loss {index + 1}": loss + prior_penalty(logits_BC, self.beliefs.prior_C)}

    def _guess(self, index: int, index_B: Tensor, views: Sequence[Tensor], *, num_labelled: int = 0) -> Tensor:
        """Mean belief in some weak views: of the net itself for rows with a label, of all nets for the others.

        Other nets are not asked about the first ``num_labelled`` rows, which are taken as labelled.
        """
        if self.settings.guess == "epoch":
            return self.beliefs.guess_NC[index_B]
        own_BC = self._belief(index, views)
        doubted = [view[num_labelled:] for view in views]
        others = range(len(self.students)) if len(index_B) > num_labelled else ()
        asked = [self._belief(other, doubted) for other in others if other != index]
        mean_BC = torch.stack([own_BC[num_labelled:], *asked]).mean(dim=0)
        has_label_B1 = self.beliefs.p_clean_LN[index, index_B, None] > 0
        return torch.where(has_label_B1, own_BC, torch.cat([own_BC[:num_labelled], mean_BC]))

    def _belief(self, index: int, views: Sequence[Tensor]) -> Tensor:
        """What a net believes of some images, mean of their views."""
        p_BC = believe(self.students[index].best, torch.cat(list(views)), self.runtime)
        return torch.stack(p_BC.chunk(len(views))).mean(dim=0)

    def _paired_rows(self, index: int, epoch: int) -> Tensor:
        """Batches of an epoch beside the images, labelled rows first, shape (steps, 2B); without others (steps, B)."""
        if (index, epoch) not in self._paired:
            num_steps, batch = self._steps_of_net(index, epoch), self.settings.batch
            halves = []
            for name in ("labelled",) if self._learns_alone(index) else ("labelled", "unlabelled"):
                draw = generator(self.runtime.device, self.seed, "dividemix", name, index, epoch)
                row_R = self.beliefs.rows(index, labelled=name == "labelled")
                row_R = row_R if len(row_R) else self.data.train_T  # an oracle may believe nobody
                halves.append(repeated_rows(row_R, num_steps=num_steps, batch=batch, draw=draw))
            self._paired = {(index, epoch): self.data.pixels.beside(torch.cat(halves, dim=1))}
        return self._paired[index, epoch]

    @property
    def _is_penalised(self) -> bool:
        """Whether the warm-up holds confidence back."""
        asked = self.settings.confidence_penalty
        return asked == "on" or (asked == "asymmetric" and self.beliefs.is_asymmetric)

    def _learns_alone(self, index: int) -> bool:
        """Whether a net leaves too few rows without their label to make a batch of them."""
        return len(self.data.train_T) - self.beliefs.num_labelled[index] < self.settings.batch

    def _steps_of_net(self, index: int, epoch: int) -> int:
        """The warm-up's, unless MixMatch is to follow the number of labelled rows."""
        if epoch < self.num_warmup_epochs or self.settings.learn == "refined" or not self.beliefs.divisions:
            return self.batches[index].num_steps
        if self.settings.steps == "labelled":
            return -(-self.beliefs.num_labelled[index] // self.settings.batch)
        return self.batches[index].num_steps

    def _choose_lambda(self, noise_rate: float) -> float:
        """lambda_u / C, as asked or by the estimated noise rate."""
        if self.settings.lambda_u >= 0:
            return self.settings.lambda_u / self.data.num_classes
        if noise_rate < NOISY_ENOUGH:
            return 0.0
        per_class = 2.5 if self.data.num_classes <= 20 else 1.5
        return 5.0 if noise_rate >= VERY_NOISY else per_class
