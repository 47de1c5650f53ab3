"""What a net says about every image: class probabilities over a few fixed views, and the embedding of the plain one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import Augmentation, FixedView
from noisyclean.data.batches import Pixels
from noisyclean.engine.fold import folded

__all__ = [
    "embed",
    "evaluation_batch",
    "evaluation_views",
    "lightened",
    "log_probabilities",
    "pooled_features",
    "stacked",
]

BATCH = 1000
BATCH_PIXELS, BATCH_PIXELS_CPU = BATCH * 64 * 64, 400 * 32 * 32
"""Of one colour, in a batch of large images: early layers hold many times as many values, and on a CPU the next layer
should find them in its caches (``docs/measurements-speed.md``)."""


def evaluation_views(augmentation: Augmentation, size_px: int) -> tuple[FixedView, ...]:
    """The views averaged over when it matters: three small shifts, each also mirrored where training mirrors.

    Averaging costs forward passes alone and finds more label errors than one view (``docs/benchmarks.md``).
    """
    step = max(1, size_px // 32) if augmentation.shift else 0
    shifts = ((0, 0), (step, step), (-step, -step)) if step else ((0, 0),)
    flips = (False, True) if augmentation.flip else (False,)
    return tuple(FixedView(down_px=down, right_px=right, flip=flip) for flip in flips for down, right in shifts)


@torch.inference_mode()
def log_probabilities(
    net: nn.Module, pixels: Pixels, views: tuple[FixedView, ...], runtime: Runtime, rows: Tensor | None = None
) -> Tensor:
    """Log class probabilities of some images, averaged over views (a geometric mean), normalised again.

    Args:
        net: A classifier; left in eval mode.
        pixels: The images.
        views: At least one.
        runtime: Device and dtype of the passes.
        rows: The images asked about; all by default.

    Returns:
        Shape (len(rows), C), float32, on the device.
    """
    quick = lightened(net, pixels)
    rows = torch.arange(len(pixels)) if rows is None else rows
    parts: list[Tensor] = []
    for row_B in pixels.beside(rows).split(evaluation_batch(pixels)):
        x_BHWI = pixels.take(row_B)
        total_BC = torch.zeros(())
        for view in views:
            x_BIHW = pixels.fixed(x_BHWI, view)  # In full precision, as training views are.
            with runtime.autocast():
                logits_BC = quick(x_BIHW)
            total_BC = total_BC.to(logits_BC.device) + logits_BC.float().log_softmax(dim=1)
        parts.append((total_BC / len(views)).log_softmax(dim=1))
    return torch.cat(parts)


@torch.inference_mode()
def embed(net: nn.Module, pixels: Pixels, rows: Tensor, runtime: Runtime) -> Tensor:
    """L2-normalised pooled features of some plain images, shape (len(rows), D); leaves ``net`` in eval mode."""
    quick = lightened(net, pixels)
    parts = (nn.functional.normalize(h_BD, dim=1) for h_BD in _pooled(quick, pixels, rows, runtime))
    return stacked(parts, len(rows))


@torch.inference_mode()
def pooled_features(net: nn.Module, pixels: Pixels, rows: Tensor, runtime: Runtime) -> Tensor:
    """What the classifier sees of some plain images, shape (len(rows), D), float32; leaves ``net`` in eval mode."""
    return stacked(_pooled(net, pixels, rows, runtime), len(rows))


def _pooled(net: nn.Module, pixels: Pixels, rows: Tensor, runtime: Runtime) -> Iterator[Tensor]:
    net.eval()
    for row_B in pixels.beside(rows).split(evaluation_batch(pixels)):
        x_BIHW = pixels.fixed(pixels.take(row_B), FixedView())
        with runtime.autocast():
            features = net.forward_features(x_BIHW)  # type: ignore[operator]
            h_BD = net.forward_head(features, pre_logits=True).flatten(1).float()  # type: ignore[operator]
        yield h_BD


def lightened(net: nn.Module, pixels: Pixels) -> nn.Module:
    """A net that gives the same for such images sooner, its normalisation folded; ``net`` is left in eval mode."""
    first = pixels.take(pixels.beside(torch.arange(1)))
    return folded(net, pixels.fixed(first, FixedView()))


def stacked(parts: Iterable[Tensor], num: int) -> Tensor:
    """Batches one below the other, held once; an ordinary tensor that may be changed later.

    Kept one by one between what large layers answer, they would break the heap into pieces.

    Args:
        parts: One after the other, of one dtype; shape (B, D).
        num: Rows of all of them.
    """
    stacked_ND = torch.empty(0)
    done = 0
    for part_BD in parts:
        if not done:
            with torch.inference_mode(False):
                stacked_ND = torch.empty(num, *part_BD.shape[1:], dtype=part_BD.dtype, device=part_BD.device)
        stacked_ND[done : done + len(part_BD)] = part_BD
        done += len(part_BD)
    return stacked_ND


def evaluation_batch(pixels: Pixels) -> int:
    """Images in a batch that no gradient is wanted of: fewer where they are large."""
    most = BATCH_PIXELS_CPU if pixels.device.type == "cpu" else BATCH_PIXELS
    return max(1, min(BATCH, most // pixels.size_px**2))
