"""How much there is to see in a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from noisyclean.types import FloatArray

__all__ = ["contrasts"]

BLOCK = 1_000


def contrasts(images_NHWI: NDArray[np.uint8]) -> FloatArray:
    """Standard deviation of each picture's pixels, of the channel where it is largest; shape (N,), in [0, 127.5].

    Args:
        images_NHWI: Pixels; read a block at a time.
    """
    parts = [
        images_NHWI[start : start + BLOCK].astype(np.float32).std(axis=(1, 2)).max(axis=1)
        for start in range(0, len(images_NHWI), BLOCK)
    ]
    return np.concatenate(parts).astype(np.float64)
