"""What a robust method is: a task that trains on noisy labels, and says what it is worth doing at a budget.

Adding a method is one file in ``robust/methods/`` (or a plugin): a frozen dataclass of settings and a class with the
members of :class:`RobustMethod`, registered by name. The command line lists it and the contract tests run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import Augmentation
from noisyclean.data.batches import Pixels
from noisyclean.engine.loop import Task
from noisyclean.ops.mix import one_hot
from noisyclean.registry import Registry
from noisyclean.types import Evidence, FloatArray

__all__ = ["Facts", "NetMaker", "Posterior", "RobustMethod", "TrainingData", "methods"]

NetMaker = Callable[[int], nn.Module]
"""Makes the net of an index, on the device, started as ``--init`` says; nets differ in their classifiers."""
Posterior = Callable[[FloatArray], FloatArray]
"""From nets' log class probabilities (N, C) to what each image probably is, (N, C), rows summing to 1: its label, and
all that is known besides, weighed by whoever judges labels; of images that are not trained on, the nets' word alone."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a method learns from; N counts all images, of which it may train on some."""

    pixels: Pixels
    """Rows of a batch are kept :meth:`~noisyclean.data.batches.Pixels.beside` them, so that no step has to wait."""
    label_N: Tensor
    """Given class indices, on the device."""
    num_classes: int
    train_T: Tensor
    """Rows to train on; the others are held out and only looked at by whoever judges the training."""
    verified_N: Tensor
    """True where a person confirmed the label: never doubted."""
    weak: Augmentation
    """Views to guess from, and to learn from where not told otherwise."""
    strong: Augmentation
    group_N: Tensor | None = None
    """Samples of one group never vote for each other."""
    truth_N: Tensor | None = None
    """True class indices, for oracles alone."""
    outside_log_p_NC: FloatArray | None = None
    """Log class probabilities by the left-out classifier; of the product's trainings it learnt no held-out label."""
    posterior: Posterior | None = None
    """For methods that ask what labels probably are; every training of the product has one."""

    def given(self, index_B: Tensor) -> Tensor:
        """The given labels of some rows as probabilities, shape (B, C), float32."""
        return one_hot(self.label_N[index_B], self.num_classes)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a method plans its settings from."""

    num_classes: int
    passes: float
    """Budget in passes over the training images: a forward pass is 1, forward and backward are 3."""
    batch: int
    """What suits the device and the number of images."""
    is_pretrained: bool
    """Whether nets start from weights that saw images before."""

    @property
    def rate(self) -> float:
        """Largest learning rate of one cycle: .1 at 128 images, half of it for nets that need not start anew."""
        return 0.1 * self.batch / 128 * (0.5 if self.is_pretrained else 1.0)

    def epochs_at(self, passes_an_epoch: float) -> int:
        """Epochs that the budget pays for; one at least."""
        return max(1, round(self.passes / passes_an_epoch))


class RobustMethod(Task, Protocol):
    """A training on noisy labels."""

    settings_type: ClassVar[type]
    """A frozen dataclass of numbers, texts and flags, each with a docstring, each number with the range it may be in
    (:class:`~noisyclean.ranges.Range`)."""
    needs_truth: ClassVar[bool]
    """Whether it cannot work without true labels."""
    published_holdout: ClassVar[float]
    """Share of the training images that the paper held out, for ``--preset paper``."""
    num_epochs: int

    def __init__(self, *, data: TrainingData, make_net: NetMaker, settings: Any, runtime: Runtime, seed: int) -> None:
        """Get ready; nothing is computed yet."""

    @property
    def notes(self) -> list[str]:
        """What it fell back to on the way, in words; part of its state."""

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[Any, Mapping[str, str]]:
        """Settings of a preset for this data and budget, and the reasons of those that were chosen."""

    def predictor(self) -> nn.Module:
        """The net that is exported."""

    def nets(self) -> Sequence[nn.Module]:
        """All nets that predict together, the exported one first."""

    def evidence(self) -> Evidence:
        """What the training recorded about every image."""


methods: Registry[type[RobustMethod]] = Registry(
    "method", package="noisyclean.robust.methods", entry_points="noisyclean.methods"
)
