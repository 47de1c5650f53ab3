"""Images that other stores hold already, found by file or by content, so that nothing is decoded twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyclean.data.decode import PixelMapping
from noisyclean.data.journal import IMAGES, JOURNAL, mapping_mark, read_journal, store_mark

__all__ = ["KnownImages", "Place"]


@dataclass(frozen=True)
class Place:
    """Where a decoded image is, and what the journal says of it."""

    store: int
    row: int
    content: str
    width: int
    height: int
    note: str


class KnownImages:
    """All images of some stores that were built with one pixel mapping.

    Args:
        folders: Stores; those built with another mapping, and what is no store, are passed over.
        mapping: The mapping.
    """

    def __init__(self, folders: Iterable[Path], mapping: PixelMapping) -> None:
        mark = mapping_mark(mapping)
        self.folders = [folder for folder in folders if store_mark(folder) == mark and (folder / IMAGES).exists()]
        self._images: list[NDArray[Any]] = []
        self._by_file: dict[str, tuple[int, int, Place]] = {}
        self._by_content: dict[str, Place] = {}
        for store, folder in enumerate(self.folders):
            self._images.append(np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False))
            self._read(store, folder)

    def __len__(self) -> int:
        return len(self._by_content)

    def by_file(self, file: str) -> Place | None:
        """The image a file held when it was decoded, if the file did not change since."""
        known = self._by_file.get(file)
        if known is None:
            return None
        size, modified_ns, place = known
        try:
            status = Path(file).stat()
        except OSError:
            return None
        return place if (status.st_size, status.st_mtime_ns) == (size, modified_ns) else None

    def by_content(self, content: str) -> Place | None:
        """The image of a file with this SHA-256."""
        return self._by_content.get(content)

    def pixels(self, places: Sequence[Place]) -> NDArray[np.uint8]:
        """Decoded images, shape (len(places), size, size, 3)."""
        return np.stack([self._images[place.store][place.row] for place in places])

    def whole_store(self, places: Sequence[Place]) -> Path | None:
        """The store that holds just these images in this order, if there is one."""
        if not places or any(place.store != places[0].store or place.row != row for row, place in enumerate(places)):
            return None
        return self.folders[places[0].store] if len(self._images[places[0].store]) == len(places) else None

    def _read(self, store: int, folder: Path) -> None:
        for block in read_journal(folder / JOURNAL):
            facts = zip(block.rows, block.content, block.width, block.height, block.note, strict=True)
            for place, failure, file, stamp in zip(
                (Place(store, *fact) for fact in facts), block.failure, block.file, block.stamp, strict=True
            ):
                if not failure:
                    self._by_file[file] = (stamp[0], stamp[1], place)
                    self._by_content[place.content] = place
