"""The probe: a short training on the noisy labels that writes down how every label fared.

Mixup (https://arxiv.org/abs/1710.09412) and a weight average keep the net from memorising, so what it believes about a
training image still says something about its label: losses, margins and probabilities are recorded after the last
epoch, under a few fixed views. More recordings, over the second half of the training, are averaged; they find fewer
errors (``docs/log.md``). Cost: epochs x N forward and backward passes, and N forward passes for each recording and
view. Measured: ``docs/benchmarks.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.config import ProbeConfig
from noisyclean.data.augment import Augmentation
from noisyclean.data.batches import Pixels, ShuffledBatches
from noisyclean.engine.descent import Descent, Figures
from noisyclean.engine.distributed import Share, gather_shares
from noisyclean.engine.inference import embed, evaluation_views, log_probabilities
from noisyclean.engine.optim import one_cycle
from noisyclean.nn.backbone import classify
from noisyclean.nn.ema import WeightAverage
from noisyclean.ops.mix import one_hot, random_mixup, soft_cross_entropy

__all__ = ["Probe", "ProbeRecord", "opinion_on_labels", "recording_epochs"]


@dataclass(frozen=True, kw_only=True)
class ProbeRecord:
    """What one net leaves behind, on the CPU."""

    loss_EN: Tensor
    margin_EN: Tensor
    log_p_NC: Tensor
    """Log-probabilities, averaged over the recordings and normalised."""
    z_ND: Tensor
    """L2-normalised features."""


class Probe:
    """One net's training; a :class:`~noisyclean.engine.loop.Task`.

    Args:
        pixels: The images.
        label_N: Given class indices, on the device.
        weight_N: How much each image counts; 1 in the mean.
        net: The network, its classifier as wide as there are classes.
        net_index: Which of several nets this is; makes its data order its own.
        augmentation: Of the training views.
        config: Counts and rates.
        runtime: Device and dtype.
        seed: The run's seed.
    """

    def __init__(
        self,
        *,
        pixels: Pixels,
        label_N: Tensor,
        weight_N: Tensor,
        net: nn.Module,
        net_index: int,
        augmentation: Augmentation,
        config: ProbeConfig,
        runtime: Runtime,
        seed: int,
    ) -> None:
        self.pixels = pixels
        self.label_N = label_N
        self.weight_N = weight_N
        self.net = net.train()
        self.average = WeightAverage(net, decay=config.ema_decay)
        self.descent = Descent(
            net, runtime, optimizer=config.optimizer, weight_decay=config.weight_decay, average=self.average
        )
        self.augmentation = augmentation
        self.config = config
        self.runtime = runtime
        self.classify = runtime.compiled(classify)
        self.seed = seed
        self.share = Share.current()
        self.key = ("probe", net_index)
        self.batches = ShuffledBatches(pixels.beside(torch.arange(len(label_N))), config.batch, seed=seed, key=self.key)
        self.num_classes: int = net.num_classes  # type: ignore[assignment]
        self._recorded: list[dict[str, Tensor]] = []

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        """The same in every epoch."""
        return self.batches.num_steps

    def begin_epoch(self, epoch: int) -> None:
        """Nothing is decided here."""

    def step(self, epoch: int, step: int) -> Figures:
        """One step on a mixed batch of augmented images."""
        key = (epoch, step, self.share.rank) if self.share.num > 1 else (epoch, step)
        row_B = self.batches.rows(epoch, step)[self.share.of(self.batches.batch)]
        done = (epoch + step / self.batches.num_steps) / self.config.epochs
        return self.descent.step(
            self._mixed_loss,
            self.pixels.take(row_B),
            self.pixels.on_device(row_B),
            seed=seed_from(self.seed, *self.key, *key),
            rate=one_cycle(done, peak=self.config.lr),
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Record every sample, in the epochs chosen for it."""
        if epoch in recording_epochs(self.config.epochs, self.config.num_recordings):
            self._recorded.append(self._record())
        return {}

    def record(self) -> ProbeRecord:
        """What was recorded so far; the training is over."""
        return ProbeRecord(
            loss_EN=torch.stack([entry["loss_N"] for entry in self._recorded]),
            margin_EN=torch.stack([entry["margin_N"] for entry in self._recorded]),
            log_p_NC=torch.stack([entry["log_p_NC"] for entry in self._recorded]).mean(dim=0).log_softmax(dim=1),
            z_ND=self._gather(embed(self.average.model, self.pixels, self._own_samples(), self.runtime)),
        )

    def state_dict(self) -> dict[str, Any]:
        """Weights, their average, the optimiser and the recordings."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.model.state_dict(),
            "num_updates": self.average.num_updates,
            "optimizer": self.descent.state_dict(),
            "recorded": self._recorded,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load_state_dict(state["net"])
        self.average.model.load_state_dict(state["average"])
        self.average.num_updates = state["num_updates"]
        self.descent.load_state_dict(state["optimizer"])
        self._recorded = list(state["recorded"])

    def _mixed_loss(self, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor) -> Figures:
        """Cross-entropy of mixed images."""
        x_BIHW = self.pixels.random(x_BHWI, self.augmentation, draw)
        target_BC = one_hot(self.label_N[index_B], self.num_classes) * self.weight_N[index_B, None]
        x_BIHW, target_BC = random_mixup(x_BIHW, target_BC, alpha=self.config.mixup_alpha, generator=draw)
        with self.runtime.autocast():
            logits_BC = self.classify(self.net, x_BIHW)
        return {"loss": soft_cross_entropy(logits_BC, target_BC).mean()}

    def _record(self) -> dict[str, Tensor]:
        """Ask the averaged net about every image; each process about its own."""
        net = self.average.model
        views = evaluation_views(self.augmentation, self.pixels.size_px)
        log_p_NC = self._gather(log_probabilities(net, self.pixels, views, self.runtime, self._own_samples()))
        return opinion_on_labels(log_p_NC, self.label_N.cpu())

    def _own_samples(self) -> Tensor:
        return self.share.samples(len(self.label_N))

    def _gather(self, own: Tensor) -> Tensor:
        return gather_shares(own, len(self.label_N)).cpu()


def recording_epochs(num_epochs: int, num_recordings: int) -> frozenset[int]:
    """Epochs recorded at their end: evenly over the second half, the last one always among them."""
    half = num_epochs / 2
    return frozenset(round(num_epochs - 1 - i * half / num_recordings) for i in range(num_recordings))


def opinion_on_labels(log_p_NC: Tensor, label_N: Tensor) -> dict[str, Tensor]:
    """What log-probabilities (N, C) say of labels: ``loss_N`` and ``margin_N`` in nats, and themselves."""
    given_N1 = log_p_NC.gather(1, label_N[:, None])
    best_other_N = log_p_NC.scatter(1, label_N[:, None], -torch.inf).amax(dim=1)
    given_N = given_N1.squeeze(1)
    return {"loss_N": -given_N, "margin_N": given_N - best_other_N, "log_p_NC": log_p_NC}
