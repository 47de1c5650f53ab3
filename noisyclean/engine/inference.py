"""What a net says about every image: class probabilities over a few fixed views, and the embedding of the plain one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import Augmentation, FixedView
from noisyclean.data.batches import Pixels

__all__ = ["embed", "evaluation_views", "log_probabilities"]

BATCH = 1000


def evaluation_views(augmentation: Augmentation, size_px: int) -> tuple[FixedView, ...]:
    """The views averaged over when it matters: three small shifts, each also mirrored where training mirrors.

    Averaging costs forward passes alone and finds more label errors than one view (``docs/benchmarks.md``).
    """
    step = max(1, size_px // 32) if augmentation.shift_px else 0
    shifts = ((0, 0), (step, step), (-step, -step)) if step else ((0, 0),)
    flips = (False, True) if augmentation.flip else (False,)
    return tuple(FixedView(down_px=down, right_px=right, flip=flip) for flip in flips for down, right in shifts)


@torch.inference_mode()
def log_probabilities(net: nn.Module, pixels: Pixels, views: tuple[FixedView, ...], runtime: Runtime) -> Tensor:
    """Log class probabilities of every image, averaged over views (a geometric mean), normalised again.

    Args:
        net: A classifier; left in eval mode.
        pixels: The images.
        views: At least one.
        runtime: Device and dtype of the passes.

    Returns:
        Shape (N, C), float32, on the device.
    """
    net.eval()
    parts: list[Tensor] = []
    for index_B in torch.arange(len(pixels), device=runtime.device).split(BATCH):
        total_BC = torch.zeros(())
        for view in views:
            with runtime.autocast():
                logits_BC = net(pixels.fixed(index_B, view))
            total_BC = total_BC.to(logits_BC.device) + logits_BC.float().log_softmax(dim=1)
        parts.append((total_BC / len(views)).log_softmax(dim=1))
    return torch.cat(parts)


@torch.inference_mode()
def embed(net: nn.Module, pixels: Pixels, rows: Tensor, runtime: Runtime) -> Tensor:
    """L2-normalised pooled features of some plain images, shape (len(rows), D); leaves ``net`` in eval mode."""
    net.eval()
    parts: list[Tensor] = []
    for index_B in rows.to(runtime.device).split(BATCH):
        with runtime.autocast():
            features = net.forward_features(pixels.fixed(index_B, FixedView()))  # type: ignore[operator]
            parts.append(net.forward_head(features, pre_logits=True).float())  # type: ignore[operator]
    return nn.functional.normalize(torch.cat(parts), dim=1)
