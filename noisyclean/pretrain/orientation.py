"""May an image be mirrored without changing its class? Measured: a classifier is asked about mirrored images.

A ridge classifier on whitened patches is fitted to the images as they are, and asked about each left-out image twice:
as it is, and mirrored. Where mirroring costs much of what it recognises, over all images or in one class (a letter, a
left hand), mirrored copies in training would teach the wrong thing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import FixedView
from noisyclean.data.batches import Pixels
from noisyclean.ops.ridge import RidgeSystem, leave_out_predictions, leave_out_views
from noisyclean.pretrain.patches import PatchFeatures
from noisyclean.types import BoolArray, IntArray

__all__ = ["Orientation", "measure_orientation"]

NUM_FILTERS = 128
PENALTY = 0.1
"""In units of the number of samples."""
KEPT_OF_ALL = 0.8
"""Share of what is recognised above chance that must survive mirroring."""
KEPT_OF_CLASS = 0.5
"""The same for the recall of a single class."""
LEAST_IMAGES = 20
SURE = 3.0
"""Standard errors a difference must exceed."""


@dataclass(frozen=True)
class Orientation:
    """What mirroring costs."""

    is_oriented: bool
    reason: str


def measure_orientation(
    pixels: Pixels, label_N: IntArray, *, classes: Sequence[str], seed: int, runtime: Runtime
) -> Orientation:
    """Compare what is recognised of images as they are and mirrored.

    Args:
        pixels: A sample of a few thousand images.
        label_N: Their given class indices; noise makes the comparison weaker, not wrong.
        classes: Names of the classes.
        seed: Of the features.
        runtime: Device.
    """
    features = PatchFeatures.learn(pixels, num_filters=NUM_FILTERS, seed=seed, runtime=runtime)
    plain_ND, mirrored_ND = (features.all(pixels, runtime, FixedView(flip=flip)) for flip in (False, True))
    target_NC = functional.one_hot(torch.from_numpy(label_N), len(classes)).to(plain_ND.device)
    system = RidgeSystem.accumulate([(plain_ND, target_NC)])
    penalty = PENALTY * len(label_N)
    rotated_ND = system.rotate(plain_ND)
    plain_NC = leave_out_predictions(system, rotated_ND, target_NC, penalty)
    mirrored_NC = leave_out_views(system, rotated_ND, system.rotate(mirrored_ND), target_NC, penalty)
    is_right_N, stays_right_N = (found.argmax(dim=1).cpu().numpy() == label_N for found in (plain_NC, mirrored_NC))
    return _judge(is_right_N, stays_right_N, label_N, classes)


def _judge(is_right_N: BoolArray, stays_right_N: BoolArray, label_N: IntArray, classes: Sequence[str]) -> Orientation:
    chance = np.bincount(label_N).max() / len(label_N)
    before, after = float(is_right_N.mean()), float(stays_right_N.mean())
    told = f"a quick classifier recognises {before:.1%} of images it has not seen, {after:.1%} when they are mirrored"
    if _drops(is_right_N, stays_right_N) and after - chance < KEPT_OF_ALL * (before - chance):
        return Orientation(True, told)
    for index, name in enumerate(classes):
        own_N = label_N == index
        if own_N.sum() < LEAST_IMAGES or not _drops(is_right_N[own_N], stays_right_N[own_N]):
            continue
        recall, kept = is_right_N[own_N].mean(), stays_right_N[own_N].mean()
        if kept < KEPT_OF_CLASS * recall:
            return Orientation(
                True, f"a quick classifier recognises {recall:.0%} of {name}, {kept:.0%} when they are mirrored"
            )
    return Orientation(False, told)


def _drops(is_right_N: BoolArray, stays_right_N: BoolArray) -> bool:
    """Whether mirroring takes away more than chance would (McNemar's test)."""
    lost, won = int((is_right_N & ~stays_right_N).sum()), int((stays_right_N & ~is_right_N).sum())
    return lost - won > SURE * math.sqrt(max(lost + won, 1))
