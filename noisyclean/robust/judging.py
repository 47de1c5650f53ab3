"""What nets make of plain images, written down a few times: the evidence a training leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import FixedView
from noisyclean.engine.inference import embed, evaluation_batch, evaluation_views, log_probabilities
from noisyclean.nn.backbone import classify_features, embed_with
from noisyclean.robust.method import TrainingData
from noisyclean.robust.probe import opinion_on_labels, recording_epochs
from noisyclean.types import Evidence, FloatArray

__all__ = ["Recorder", "judge", "judge_and_embed", "loss_of"]

NUM_RECORDINGS = 4


def judge(net: nn.Module, data: TrainingData, runtime: Runtime) -> Tensor:
    """Log class probabilities of every plain image, shape (N, C); one forward pass over all."""
    return log_probabilities(net, data.pixels, (FixedView(),), runtime).clone()


@torch.no_grad()
def judge_and_embed(net: nn.Module, data: TrainingData, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Log class probabilities (N, C) and L2-normalised features (N, D) of every plain image, from one pass."""
    net.eval()
    log_p_parts: list[Tensor] = []
    h_parts: list[Tensor] = []
    for row_B in data.pixels.beside(torch.arange(len(data.label_N))).split(evaluation_batch(data.pixels)):
        x_BIHW = data.pixels.fixed(data.pixels.take(row_B), FixedView())
        with runtime.autocast():
            h_BD = embed_with(net, x_BIHW)
            log_p_parts.append(classify_features(net, h_BD).float().log_softmax(dim=1))
        h_parts.append(nn.functional.normalize(h_BD.float(), dim=1))
    return torch.cat(log_p_parts), torch.cat(h_parts)


def loss_of(log_p_NC: Tensor, label_N: Tensor) -> Tensor:
    """Cross-entropy of labels, in nats, shape (N,)."""
    return -log_p_NC.gather(1, label_N[:, None]).squeeze(1)


class Recorder:
    """Losses, margins and probabilities of every image, averaged over a few fixed views.

    Args:
        data: The images and their labels.
        runtime: Device and dtype.
        num_nets: Nets that are recorded.
        num_epochs: Epochs of the training; a few of its second half are recorded, the last one among them.
    """

    def __init__(self, data: TrainingData, runtime: Runtime, *, num_nets: int, num_epochs: int) -> None:
        self.data = data
        self.runtime = runtime
        self.epochs = recording_epochs(num_epochs, NUM_RECORDINGS)
        self._views = evaluation_views(data.weak, data.pixels.size_px)
        self._entries: list[list[dict[str, Tensor]]] = [[] for _ in range(num_nets)]
        self._log_p_NC: Tensor | None = None
        """Sum over all recordings: one array however many there are."""

    def after_epoch(self, epoch: int, nets: Sequence[nn.Module]) -> None:
        """Write down what the nets think, in the epochs chosen for it."""
        if epoch in self.epochs:
            self.record(nets)

    def record(self, nets: Sequence[nn.Module]) -> None:
        """Write down what the nets think."""
        for entries, net in zip(self._entries, nets, strict=True):
            log_p_NC = log_probabilities(net, self.data.pixels, self._views, self.runtime)
            entry = opinion_on_labels(log_p_NC, self.data.label_N)
            entries.append({name: entry[name].cpu().clone() for name in ("loss_N", "margin_N")})
            log_p_NC = log_p_NC.cpu().clone()
            self._log_p_NC = log_p_NC if self._log_p_NC is None else self._log_p_NC + log_p_NC

    def opinion(self) -> FloatArray:
        """Log class probabilities (N, C), float32, averaged over all that was recorded, and normalised."""
        assert self._log_p_NC is not None, "the last epoch is always recorded"
        num = sum(len(entries) for entries in self._entries)
        opinion_NC: FloatArray = (self._log_p_NC / num).log_softmax(dim=1).numpy()
        return opinion_NC

    def evidence(self, nets: Sequence[nn.Module], **more: Any) -> Evidence:
        """What was recorded, the nets' embeddings now, and further arrays of the method's own."""
        everything = torch.arange(len(self.data.label_N))
        z_ND = torch.cat([embed(net, self.data.pixels, everything, self.runtime) for net in nets], dim=1)
        flat = [entry for entries in self._entries for entry in entries]
        return Evidence(
            label_N=self.data.label_N.cpu().numpy(),
            num_classes=self.data.num_classes,
            z_ND=(z_ND / len(nets) ** 0.5).cpu().numpy(),
            log_p_NC=self.opinion(),
            loss_EN=torch.stack([entry["loss_N"] for entry in flat]).numpy(),
            margin_EN=torch.stack([entry["margin_N"] for entry in flat]).numpy(),
            net_E=np.repeat(np.arange(len(self._entries)), [len(entries) for entries in self._entries]),
            group_N=None if self.data.group_N is None else self.data.group_N.cpu().numpy(),
            **more,
        )

    def state_dict(self) -> dict[str, Any]:
        """All entries."""
        return {"entries": self._entries, "log_p_NC": self._log_p_NC}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._entries = [list(entries) for entries in state["entries"]]
        self._log_p_NC = state["log_p_NC"]
