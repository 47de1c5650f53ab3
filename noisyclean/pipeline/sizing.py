"""``--size auto``: at which side images are looked at, measured on a sample where they are large enough to choose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from noisyclean.base.runtime import Runtime, use_threads
from noisyclean.data.batches import load_pixels
from noisyclean.data.decode import PixelMapping, UnreadableImage, peek_size
from noisyclean.data.stream import decode_in_blocks
from noisyclean.errors import DataError
from noisyclean.ops.ridge import RidgeSystem, leave_out_predictions
from noisyclean.pretrain.patches import PatchFeatures
from noisyclean.types import BoolArray, IntArray, LabelTable

__all__ = ["choose_size"]

SIZES = (16, 32, 64, 128, 224)
LEAST_MEASURED_PX = 32
PEEKED = 300
"""Headers read to see how large the images are."""
NUM_MEASURED = 1_000
NUM_FILTERS = 128
PENALTY = 0.1
"""In units of the number of samples."""
MANY_IMAGES = 10_000
"""From here on the cost of larger images decides where they recognise no more."""


def choose_size(
    asked: int | None, table: LabelTable, *, most: int, window: tuple[float, float], seed: int, runtime: Runtime
) -> tuple[int, str]:
    """Choose the side in pixels, and say why.

    Args:
        asked: What the user wants; goes before everything.
        table: The rows that can be used.
        most: Largest side this device can afford.
        window: Stored values shown as black and white.
        seed: Of the features.
        runtime: Device and threads.

    Raises:
        DataError: Not one image can be read.
    """
    if asked is not None:
        return asked, f"{asked} px: as asked"
    median = _median_side(table)
    largest = next((size for size in SIZES if size >= min(median, most)), most)
    told = f"the shorter side is {median:.0f} px in the median, at most {most} px on this device"
    candidates = [size for size in SIZES if LEAST_MEASURED_PX <= size <= largest]
    if len(candidates) < 2:
        return largest, f"{largest} px: {told}"
    right = _measure(table, candidates, window=window, seed=seed, runtime=runtime)
    if len(right) < 2:
        return largest, f"{largest} px: {told}"
    size_px = _prefer(right, is_cheaper_better=len(table) >= MANY_IMAGES)
    shares = ", ".join(f"{right[size].mean():.1%} at {size} px" for size in right)
    seen = f"of {len(right[size_px]):,} images it has not seen, a quick classifier recognises {shares}"
    return size_px, f"{size_px} px: {told}; {seen}"


def _median_side(table: LabelTable) -> float:
    sides: list[int] = []
    for file in table.file_N[:: max(1, len(table) // PEEKED)]:
        try:
            sides.append(min(peek_size(Path(file))))
        except UnreadableImage:
            continue
    if not sides:
        raise DataError("not one readable image was found", hint="Look at a few of them; is IMAGES the right folder?")
    return float(np.median(sides))


def _measure(
    table: LabelTable, sizes: list[int], *, window: tuple[float, float], seed: int, runtime: Runtime
) -> Mapping[int, BoolArray]:
    """Whether a classifier that left it out recognises each image of a sample, at each size."""
    some = np.flatnonzero(table.label_N >= 0)[:: max(1, len(table) // NUM_MEASURED)]
    mapping = PixelMapping(size_px=max(sizes), policy="squash", window=window)
    images: list[NDArray[np.uint8]] = []
    kept: list[NDArray[np.bool_]] = []
    for block in decode_in_blocks(table.file_N[some].tolist(), mapping, threads=runtime.threads):
        good = np.asarray([not reason for reason in block.failure_B])
        images.append(block.images_BHWI[good])
        kept.append(good)
    label_M = table.label_N[some[np.concatenate(kept)]]
    if len(np.unique(label_M)) < 2:
        return {}
    x_MIHW = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2).float()
    with use_threads(runtime.threads):
        return {size: _recognised(_shrink(x_MIHW, size), label_M, seed=seed, runtime=runtime) for size in sizes}


def _shrink(x_MIHW: torch.Tensor, size_px: int) -> NDArray[np.uint8]:
    small = functional.interpolate(x_MIHW, size=size_px, mode="area")
    shrunk: NDArray[np.uint8] = small.round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return shrunk


def _recognised(images_MHWI: NDArray[np.uint8], label_M: IntArray, *, seed: int, runtime: Runtime) -> BoolArray:
    pixels = load_pixels(images_MHWI, runtime.device)
    features = PatchFeatures.learn(pixels, num_filters=NUM_FILTERS, seed=seed, runtime=runtime)
    z_MD = features.all(pixels, runtime)
    target_MC = functional.one_hot(torch.from_numpy(label_M)).to(runtime.device)
    system = RidgeSystem.accumulate([(z_MD, target_MC)])
    found_MC = leave_out_predictions(system, system.rotate(z_MD), target_MC, PENALTY * len(label_M))
    is_right_M: BoolArray = found_MC.argmax(dim=1).cpu().numpy() == label_M
    return is_right_M


def _prefer(right: Mapping[int, BoolArray], *, is_cheaper_better: bool) -> int:
    """The best size; another one, cheaper or finer as preferred, where it is within one standard error of the best."""
    best = max(right, key=lambda size: float(right[size].mean()))
    for size in sorted(right, reverse=not is_cheaper_better):
        difference = right[best].astype(np.float64) - right[size]
        if difference.mean() <= difference.std() / np.sqrt(len(difference)):
            return size
    return best
