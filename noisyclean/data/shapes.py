"""Pictures of simple shapes, drawn from a generator: a data set of no bytes, for tests and contracts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPES", "draw_shape"]

SHAPES = ("bar", "disc", "ring")


def draw_shape(name: str, generator: np.random.Generator, size: int = 16) -> NDArray[np.uint8]:
    """A noisy picture of a bar, a disc or a ring in a random place and colour, shape (size, size, 3)."""
    y, x = np.mgrid[:size, :size]
    cy, cx = generator.uniform(0.35, 0.65, 2) * size
    distance = np.hypot(y - cy, x - cx) / size
    mask = {"bar": np.abs(x - cx) < size / 10, "disc": distance < 0.25, "ring": np.abs(distance - 0.28) < 0.07}[name]
    image = generator.uniform(0, 60, (size, size, 3)) + mask[..., None] * generator.uniform(110, 195, 3)
    pixels: NDArray[np.uint8] = image.astype(np.uint8)
    return pixels
