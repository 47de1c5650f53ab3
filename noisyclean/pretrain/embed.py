"""Embeddings of plain images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.batches import Pixels
from noisyclean.nn.backbone import embed_with

__all__ = ["embed_rows"]

BATCH = 1000


@torch.inference_mode()
def embed_rows(net: nn.Module, pixels: Pixels, rows: Tensor, runtime: Runtime) -> Tensor:
    """L2-normalised pooled features of some rows, shape (len(rows), D), on the device; puts the net in eval mode."""
    net.eval()
    parts: list[Tensor] = []
    for index_B in rows.to(runtime.device).split(BATCH):
        with runtime.autocast():
            parts.append(embed_with(net, pixels.plain(index_B)).float())
    return nn.functional.normalize(torch.cat(parts), dim=1)
