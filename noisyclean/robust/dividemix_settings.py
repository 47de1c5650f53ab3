"""DivideMix's settings, the schedule it was published with, and what it is given at a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from noisyclean.engine.optim import one_cycle
from noisyclean.errors import UsageError
from noisyclean.ranges import Range
from noisyclean.robust.method import Facts
from noisyclean.robust.schedule import Schedule
from noisyclean.robust.views import EASY, EASY_REASON

__all__ = ["DivideMixSettings", "plan_dividemix"]

WARMUP_SHARE, MOST_WARMUP_EPOCHS = 0.65, 40
"""Of the epochs, on all given labels, in the presets that fit a budget; more of them only teach the noise."""


@dataclass(frozen=True, kw_only=True)
class DivideMixSettings(Schedule):
    """Counts, rates and choices of DivideMix."""

    num_nets: Annotated[int, Range(at_least=1)] = 2
    """2 as published; 1 divides for itself."""
    warmup_epochs: Annotated[int, Range()] = -1
    """Epochs on all given labels; negative is two thirds of all, 40 at most."""
    batch: int = 64
    """Labelled rows in a step, and as many unlabelled ones."""
    lr: float = 0.02
    warmup_clip_norm: Annotated[float, Range(at_least=0)] = 0.0
    """Longest gradient of the warm-up; 0 leaves them."""
    warmup_mixup_alpha: Annotated[float, Range(at_least=0)] = 1.0
    """Of the Beta distribution of the warm-up's mixup; 0 switches it off, as published."""
    confidence_penalty: Literal["off", "on", "asymmetric"] = "off"
    """Negative entropy in the warm-up: never, always, or as long as the noise looks asymmetric, which costs one pass
    over the images an epoch and keeps the losses for averaging."""
    divide_every: Annotated[int, Range(at_least=1)] = 1
    """Epochs between two divisions."""
    divide_by: Literal["losses", "judgement"] = "losses"
    """Two bumps of the losses, as published, or what an audit would make of the labels: the opinion and the left-out
    classifier's, balanced, pooled and calibrated."""
    threshold: Annotated[float, Range(at_least=0, below=1)] = 0.5
    """A label is believed above this probability of being clean."""
    class_floor: Annotated[float, Range(at_least=0, below=1)] = 0.01
    """Least share of each class that stays labelled."""
    cap_quantile: Annotated[float, Range(above=0, at_most=1)] = 0.999
    """Losses above it are cut before the mixture is fitted; 1 leaves them, as published."""
    neighbour_share: Annotated[float, Range(at_least=0, at_most=1)] = 0.0
    """Of the opinion that divides and guesses, the share of the neighbours' votes; 0 asks the nets alone."""
    learn: Literal["mixmatch", "refined"] = "mixmatch"
    """Equal numbers of labelled and unlabelled rows by MixMatch, or every image alike by its refined target."""
    guess: Literal["step", "epoch"] = "step"
    """Guess from fresh weak views at each step, or from the plain images at each division."""
    num_views: Annotated[int, Range(at_least=1)] = 2
    """Views of each image, to guess from and to learn from."""
    warmup_has_strong_views: bool = False
    """Warm up on strong views too; guesses are made from weak ones (AugDesc, https://arxiv.org/abs/2103.02130)."""
    strong_from: Annotated[float, Range(at_most=1)] = 0.0
    """With strong views: only where neighbours in the start's features agree with the labels by this Cohen's kappa."""
    temperature: Annotated[float, Range(above=0)] = 0.5
    """Of the sharpening."""
    mixup_alpha: float = 4.0
    lambda_u: Annotated[float, Range()] = -1.0
    """Weight of MixMatch's unlabelled loss, as published; negative: from the estimated noise rate."""
    ramp_epochs: Annotated[float, Range(at_least=0)] = 16.0
    """Over which lambda_u rises after the warm-up."""
    restarts: bool = False
    """Whether the learning rate has a cycle for the warm-up and another after it."""
    prior: Literal["estimated", "uniform"] = "estimated"
    """Class frequencies that the mean prediction is held to."""
    steps: Literal["fixed", "labelled"] = "fixed"
    """Steps of MixMatch's epoch: as many as the warm-up's, or by the number of labelled rows, as published."""

    @property
    def num_warmup_epochs(self) -> int:
        """Epochs on all given labels; at least one more divides."""
        planned = min(round(WARMUP_SHARE * self.epochs), MOST_WARMUP_EPOCHS, self.epochs - 1)
        return self.warmup_epochs if self.warmup_epochs >= 0 else planned

    def rate(self, epoch: int, share: float) -> float:
        """Learning rate ``share`` of the way through an epoch."""
        first = self.num_warmup_epochs
        if not self.restarts or self.drop_epochs:
            return super().rate(epoch, share)
        since, num = (epoch, first) if epoch < first else (epoch - first, self.epochs - first)
        return one_cycle((since + share) / num, peak=self.lr)

    def __post_init__(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise UsageError(
                f"robust.warmup_epochs={self.warmup_epochs}: of {self.epochs} epochs none is left to divide",
                hint="Set both: --set robust.epochs=N --set robust.warmup_epochs=M.",
            )


def plan_dividemix(preset: str, facts: Facts) -> tuple[DivideMixSettings, Mapping[str, str]]:
    """The published schedule, or epochs that fit into the budget; and the reasons."""
    if preset == "paper":
        return _published(facts)
    epochs = facts.epochs_at(3.25)
    settings = DivideMixSettings(
        num_nets=1,
        epochs=epochs,
        batch=max(2, facts.batch // 2),
        lr=facts.rate,
        divide_every=max(1, epochs // 20),
        divide_by="judgement",
        neighbour_share=0.5,
        learn="refined",
        guess="epoch",
        num_views=1,
        has_strong_views=True,
        warmup_has_strong_views=True,
        strong_from=EASY,
        temperature=1.0,
        mixup_alpha=0.2,
        restarts=True,
    )
    return settings, {
        "epochs": f"{epochs}: {preset} pays for {facts.passes:.0f} passes over the images",
        "views": EASY_REASON,
    }


def _published(facts: Facts) -> tuple[DivideMixSettings, Mapping[str, str]]:
    """C2D's settings for nets that are pre-trained, DivideMix's otherwise."""
    pretrained = facts.is_pretrained
    settings = DivideMixSettings(
        epochs=361 if pretrained else 301,
        warmup_epochs=5 if pretrained else 10 if facts.num_classes <= 20 else 30,
        drop_epochs=(150, 300) if pretrained else (150,),
        optimizer="plain-sgd",
        warmup_clip_norm=1.0 if pretrained else 0.0,
        warmup_mixup_alpha=0.0,
        confidence_penalty="asymmetric",
        ema_decay=0.0,
        threshold=0.03 if pretrained else 0.5,
        cap_quantile=1.0,
        prior="uniform",
        steps="labelled",
    )
    name = "C2D" if pretrained else "DivideMix"
    return settings, {
        "robust": f"paper: {name} as on CIFAR; lambda_u and the penalty follow the estimated noise, which is not asked"
    }
