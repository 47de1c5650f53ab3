"""What the networks may see: grey or oriented images are found by measuring, and a picture shows the views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from noisyclean.base.files import atomic_path
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import generator
from noisyclean.config import Plan
from noisyclean.data.augment import FixedView, training_views
from noisyclean.data.batches import load_pixels
from noisyclean.pipeline.machine import machine
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pretrain.orientation import measure_orientation

__all__ = ["settle_views", "write_preview"]

NUM_MEASURED = 3_000
GREY_LEVELS = 8
"""Largest difference of the channels of a grey pixel, in 0..255: JPEG colours grey a little."""
GREY_SHARE = 0.95
NUM_SHOWN = 12
NUM_VIEWS = 5
SIDE_PX = 96


def settle_views(plan: Plan, prepared: Prepared, *, reporter: Reporter) -> Plan:
    """Decide ``--augment auto`` by measuring a sample; a plan that names its views stays as it is.

    Args:
        plan: The plan.
        prepared: The images.
        reporter: Hears the decision.
    """
    if plan.augment != "auto":
        return plan
    some = slice(None, None, max(1, len(prepared.table) // NUM_MEASURED))
    images_MHWI = np.asarray(prepared.images_NHWI[some])
    with machine(plan) as runtime:
        found = measure_orientation(
            load_pixels(images_MHWI, runtime.device),
            prepared.table.label_N[some],
            classes=prepared.table.classes,
            seed=plan.seed,
            runtime=runtime,
        )
    if found.is_oriented:
        kind, reason = "oriented", f"no mirroring: {found.reason}"
    elif _are_grey(images_MHWI):
        kind, reason = "grey", f"no colour changes: the images have none; mirrored: {found.reason}"
    else:
        kind, reason = "natural", f"mirroring does no harm: {found.reason}"
    reporter.say(f"augment: {kind}: {reason}")
    return replace(plan, augment=kind, reasons={**plan.reasons, "augment": f"{kind}: {reason}"})


def write_preview(path: Path, plan: Plan, prepared: Prepared) -> None:
    """Show some images as the networks see them: as they are, then under random training views.

    Args:
        path: The PNG.
        plan: The plan.
        prepared: The images.
    """
    rows = np.unique(np.linspace(0, len(prepared.table) - 1, NUM_SHOWN).astype(np.int64))
    with machine(plan) as runtime:
        pixels = load_pixels(prepared.images_NHWI, runtime.device)
        x_BHWI = pixels.take(pixels.beside(torch.from_numpy(rows)))
        augmentation = training_views(plan.augment, is_strong=False)
        draw = generator(runtime.device, plan.seed, "preview")
        views = [pixels.fixed(x_BHWI, FixedView())]
        views += [pixels.random(x_BHWI, augmentation, draw) for _ in range(NUM_VIEWS)]
        shown = [pixels.restore(view).permute(0, 2, 3, 1).cpu().numpy() for view in views]
    sheet = Image.fromarray(_sheet([_enlarge(images) for images in shown]))
    with atomic_path(path) as temporary:
        sheet.save(temporary, "PNG")


def _are_grey(images_NHWI: NDArray[np.uint8]) -> bool:
    spread_NHW = images_NHWI.max(axis=3) - images_NHWI.min(axis=3)
    return bool((spread_NHW.max(axis=(1, 2)) <= GREY_LEVELS).mean() >= GREY_SHARE)


def _enlarge(images_BHWI: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Each pixel a square, so that what is small stays as coarse as it is."""
    factor = max(1, round(SIDE_PX / images_BHWI.shape[1]))
    return [np.kron(image, np.ones((factor, factor, 1), dtype=np.uint8)) for image in images_BHWI]


def _sheet(views: list[list[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """One row for each image, one column for each view."""
    gap = 4
    rows = [
        np.concatenate([np.pad(image, ((0, gap), (0, gap), (0, 0)), constant_values=255) for image in row], axis=1)
        for row in zip(*views, strict=True)
    ]
    return np.concatenate(rows, axis=0)
