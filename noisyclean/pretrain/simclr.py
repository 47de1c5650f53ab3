"""SimCLR (https://arxiv.org/abs/2002.05709): strong views of an image must find each other among all others.

Labels are not looked at, so their noise cannot enter. A nearest-neighbour check on the given labels is told now and
then: it should rise; embeddings that shrink to a point are noticed and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.config import SimCLRConfig
from noisyclean.data.augment import Augmentation
from noisyclean.data.batches import Pixels, ShuffledBatches
from noisyclean.engine.descent import Descent, Figures
from noisyclean.engine.distributed import Share, gathered_nt_xent
from noisyclean.engine.inference import embed
from noisyclean.engine.neighbours import nearest_neighbours
from noisyclean.engine.optim import warmup_cosine
from noisyclean.errors import NoisycleanError
from noisyclean.nn.backbone import embed_with, feature_width
from noisyclean.nn.heads import projection_head
from noisyclean.ops.contrastive import spread
from noisyclean.ops.knn import votes

__all__ = ["SimCLR"]

MONITOR_ROWS = 2_000
"""Images the nearest-neighbour check looks at."""
MONITOR_EVERY = 10
"""Epochs between two checks."""
COLLAPSED = 0.05
"""Spread of the embeddings below which they are taken for one point."""
SETTLED_STEPS = 50
"""Steps after which the batch statistics are those of the images; before, every net seems to embed at one point."""


class SimCLR:
    """Pre-training of one backbone; a :class:`~noisyclean.engine.loop.Task`.

    Args:
        pixels: The images; those with a label first.
        label_N: Given labels, for the monitor alone; there may be fewer than images.
        net: The backbone; trained in place.
        augmentation: The strong views; ``config`` says how large they are.
        config: Counts and rates.
        runtime: Device and dtype.
        seed: The run's seed.
    """

    def __init__(
        self,
        *,
        pixels: Pixels,
        label_N: Tensor,
        net: nn.Module,
        augmentation: Augmentation,
        config: SimCLRConfig,
        runtime: Runtime,
        seed: int,
    ) -> None:
        self.pixels = pixels
        self.label_N = label_N
        self.net = net.train()
        self.head = projection_head(feature_width(net), config.projection_dim, seed=seed)
        self.head.to(runtime.device)
        trained = nn.ModuleList([self.net, self.head])
        self.descent = Descent(trained, runtime, optimizer=config.optimizer, weight_decay=config.weight_decay)
        self.augmentation = replace(augmentation, side=config.view_side)
        self.config = config
        self.runtime = runtime
        self.embed = runtime.compiled(embed_with)
        self.seed = seed
        self.share = Share.current()
        self.batches = ShuffledBatches(
            pixels.beside(torch.arange(len(pixels))), config.batch, seed=seed, key=("simclr",)
        )

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        """The same in every epoch."""
        return self.batches.num_steps

    def begin_epoch(self, epoch: int) -> None:
        """Nothing is decided here."""

    def step(self, epoch: int, step: int) -> Figures:
        """One step on strong views of a batch."""
        key = ("simclr", epoch, step, self.share.rank) if self.share.num > 1 else ("simclr", epoch, step)
        row_B = self.batches.rows(epoch, step)[self.share.of(self.batches.batch)]
        done = (epoch + step / self.batches.num_steps) / self.config.epochs
        warmup = min(self.config.warmup_epochs / self.config.epochs, 0.1)
        return self.descent.step(
            self._contrast,
            self.pixels.take(row_B),
            seed=seed_from(self.seed, *key),
            rate=warmup_cosine(done, peak=self.config.lr, warmup=warmup),
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Check now and then that neighbours agree more often, and that there is something to tell apart."""
        if (epoch + 1) % MONITOR_EVERY and epoch + 1 < self.config.epochs:
            return {}
        rows = torch.arange(len(self.label_N))[:: max(1, len(self.label_N) // MONITOR_ROWS)]
        z_ND = embed(self.net, self.pixels, rows, self.runtime)
        self.net.train()
        if (epoch + 1) * self.batches.num_steps >= SETTLED_STEPS and float(spread(z_ND)) < COLLAPSED:
            raise NoisycleanError(
                f"pre-training collapsed in epoch {epoch + 1}: all images are embedded at one point",
                hint="Try a lower rate (--set simclr.lr=0.05), a larger batch, or --init scratch.",
            )
        label_N = self.label_N[rows]
        index_NK, _ = nearest_neighbours(z_ND, num_neighbours=min(20, len(rows) - 1))
        agree = votes(index_NK, label_N, int(self.label_N.max()) + 1).argmax(dim=1) == label_N
        return {"neighbours agree": float(agree.float().mean())}

    def state_dict(self) -> dict[str, Any]:
        """Weights and the optimiser."""
        return {"net": self.net.state_dict(), "head": self.head.state_dict(), "optimizer": self.descent.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load_state_dict(state["net"])
        self.head.load_state_dict(state["head"])
        self.descent.load_state_dict(state["optimizer"])

    def _contrast(self, draw: torch.Generator, x_BHWI: Tensor) -> Figures:
        """NT-Xent of a few views of each image."""
        views = [self.pixels.random(x_BHWI, self.augmentation, draw) for _ in range(self.config.num_views)]
        with self.runtime.autocast():
            z_VBD = self.head(self.embed(self.net, torch.cat(views))).unflatten(0, (len(views), -1))
        z_VBD = nn.functional.normalize(z_VBD.float(), dim=2)
        loss = gathered_nt_xent(z_VBD, temperature=self.config.temperature)
        return {"loss": loss, "spread": spread(z_VBD.detach().flatten(0, 1))}
