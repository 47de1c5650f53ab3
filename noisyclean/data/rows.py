"""Some images of a store, in order, without a copy of any."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from noisyclean.types import BoolArray, IntArray

__all__ = ["ImageRows", "Images", "map_images"]


class ImageRows:
    """Rows of a stored array, shape (N, H, W, 3), uint8; pixels are read when they are asked for.

    One unreadable file among a million would otherwise cost a copy of all the others in memory. To another process goes
    the name of a memory map's file.

    Args:
        images_LHWI: The array, a memory map as a rule.
        row_N: Which of its rows these are; None for all.
    """

    def __init__(self, images_LHWI: NDArray[np.uint8], row_N: IntArray | None = None) -> None:
        self.images_LHWI = images_LHWI
        self.row_N = row_N

    def __len__(self) -> int:
        return len(self.images_LHWI) if self.row_N is None else len(self.row_N)

    def __getitem__(self, rows: int | slice | IntArray | BoolArray) -> NDArray[np.uint8]:
        """Pixels of some images, indexed as NumPy does; a view where all rows are here and NumPy gives one."""
        return self.images_LHWI[rows if self.row_N is None else self.row_N[rows]]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""
        return (len(self), *self.images_LHWI.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.images_LHWI, np.memmap):
            return _opened, (self.images_LHWI.filename, self.row_N)
        return ImageRows, (self.images_LHWI, self.row_N)

    def where(self, kept_N: BoolArray) -> ImageRows:
        """The images of a mask."""
        if kept_N.all():
            return self
        row_N = np.flatnonzero(kept_N) if self.row_N is None else self.row_N[kept_N]
        return ImageRows(self.images_LHWI, row_N)


def map_images(path: Path) -> NDArray[np.uint8]:
    """Open stored images without reading them; private to us: writing never reaches the file."""
    images_LHWI: NDArray[np.uint8] = np.load(path, mmap_mode="c", allow_pickle=False)
    return images_LHWI


def _opened(path: Path, row_N: IntArray | None) -> ImageRows:
    return ImageRows(map_images(path), row_N)


Images: TypeAlias = NDArray[np.uint8] | ImageRows
"""Images that are read a few at a time."""
