"""What a trained network makes of plain images: normalised features and log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.batches import Pixels
from noisyclean.nn.backbone import embed_with

__all__ = ["Look", "look_at"]

BATCH = 500


@dataclass(frozen=True)
class Look:
    """Features and beliefs, on the CPU."""

    z_ND: Tensor
    """L2-normalised pooled features."""
    log_p_NC: Tensor
    """Log-probabilities of the classes."""


@torch.inference_mode()
def look_at(net: nn.Module, pixels: Pixels, runtime: Runtime, rows: Tensor | None = None) -> Look:
    """Evaluate a network on plain images; puts it in eval mode.

    Args:
        net: A classifier.
        pixels: The images.
        runtime: Device and dtype.
        rows: Which of them; all by default.
    """
    net.eval()
    rows = torch.arange(len(pixels)) if rows is None else rows
    z_parts: list[Tensor] = []
    p_parts: list[Tensor] = []
    for index_B in rows.to(runtime.device).split(BATCH):
        with runtime.autocast():
            z_BD = embed_with(net, pixels.plain(index_B))
            logits_BC = net.get_classifier()(z_BD)  # type: ignore[operator]
        z_parts.append(nn.functional.normalize(z_BD.float(), dim=1).cpu())
        p_parts.append(logits_BC.float().log_softmax(dim=1).cpu())
    return Look(torch.cat(z_parts), torch.cat(p_parts))
