"""How much there is to see in a picture."""

from __future__ import annotations

import numpy as np

from noisyclean.data.rows import Images
from noisyclean.types import FloatArray

__all__ = ["contrasts"]

BLOCK_VALUES = 2**20
"""Of all channels, read at a time; eight bytes each."""


def contrasts(images_NHWI: Images) -> FloatArray:
    """Standard deviation of each picture's pixels, of the channel where it is largest; shape (N,), in [0, 127.5].

    Args:
        images_NHWI: Pixels; read a block at a time.
    """
    block = max(1, BLOCK_VALUES // max(1, images_NHWI[0].size))
    parts = []
    for start in range(0, len(images_NHWI), block):
        x_BIHW = images_NHWI[start : start + block].transpose(0, 3, 1, 2).astype(np.float64, order="C")
        parts.append(x_BIHW.std(axis=(2, 3)).max(axis=1))
    return np.concatenate(parts)
