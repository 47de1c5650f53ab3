"""The files of an image store, and how they are read.

    store.json      how many images, and the pixel mapping they were decoded with
    images.npy      uint8, shape (N, size, size, 3)
    journal.jsonl   one line for each finished block: its rows' files, content hashes, original sizes, failures, notes

A block counts as done only when its line is complete in the journal, so a killed run continues behind the last one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisyclean.base.files import fingerprint, read_json
from noisyclean.data.decode import PixelMapping
from noisyclean.data.rows import map_images
from noisyclean.types import IntArray, StrArray

__all__ = ["IMAGES", "JOURNAL", "STORE", "Block", "ImageStore", "mapping_mark", "open_store", "read_journal"]

STORE = "store.json"
IMAGES = "images.npy"
JOURNAL = "journal.jsonl"


@dataclass(frozen=True, kw_only=True)
class ImageStore:
    """Decoded images in the order of the table they were built from."""

    images_NHWI: NDArray[np.uint8]
    """Memory-mapped, shape (N, size, size, 3); rows that failed are black."""
    content_N: StrArray
    """SHA-256 of each file's bytes; empty where it could not be read."""
    size_N2: IntArray
    """Original width and height in pixels; 0 where unknown."""
    failure_N: StrArray
    """Why a row has no image; empty where it has one."""
    note_N: StrArray
    """What was noticed while decoding; empty for most."""


@dataclass(frozen=True)
class Block:
    """One line of the journal; lists are as long as ``rows``."""

    rows: list[int]
    content: list[str] = field(default_factory=list)
    width: list[int] = field(default_factory=list)
    height: list[int] = field(default_factory=list)
    failure: list[str] = field(default_factory=list)
    note: list[str] = field(default_factory=list)
    file: list[str] = field(default_factory=list)
    stamp: list[list[int]] = field(default_factory=list)
    """Size and time of change of each file when it was read."""


def open_store(folder: Path) -> ImageStore:
    """Open a finished store without reading the pixels."""
    images = map_images(folder / IMAGES)
    num = len(images)
    content, failure, note = (np.full(num, "", dtype=object) for _ in range(3))
    size_N2 = np.zeros((num, 2), dtype=np.int64)
    for block in read_journal(folder / JOURNAL):
        content[block.rows] = block.content
        failure[block.rows] = block.failure
        note[block.rows] = block.note
        size_N2[block.rows] = np.stack([block.width, block.height], axis=1)
    return ImageStore(images_NHWI=images, content_N=content, size_N2=size_N2, failure_N=failure, note_N=note)


def read_journal(path: Path) -> Iterator[Block]:
    """Finished blocks; a last line torn by a crash is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield Block(**json.loads(line))


def mapping_mark(mapping: PixelMapping) -> str:
    """Short hash of a pixel mapping; stores with equal ones can share pixels."""
    return fingerprint(asdict(mapping))


def store_mark(folder: Path) -> str:
    """Hash of the mapping a store was built with; empty where there is no store."""
    path = folder / STORE
    return str(read_json(path)["pixels"]) if path.exists() else ""
