"""Images decoded block by block, in order, a few blocks ahead of who reads them: memory does not grow with N."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisyclean.data.decode import PixelMapping, UnreadableImage, decode_content, quiet_pillow, read_content
from noisyclean.data.pace import useful_threads

__all__ = ["DecodedBlock", "decode_in_blocks"]

BLOCK = 256
AHEAD = 2
"""Blocks decoded ahead, for each thread."""


@dataclass(frozen=True)
class DecodedBlock:
    """Some neighbouring files."""

    start: int
    """Number of the first."""
    images_BHWI: NDArray[np.uint8]
    """Shape (B, size, size, 3); black where a file cannot be read."""
    content_B: list[str]
    """SHA-256 of each file; empty where it cannot be read."""
    failure_B: list[str]
    """Why a file cannot be read; empty where it can."""


def decode_in_blocks(files: Sequence[str], mapping: PixelMapping, *, threads: int) -> Iterator[DecodedBlock]:
    """Decode files in order.

    Args:
        files: Absolute paths.
        mapping: How pixels are mapped and resized.
        threads: At most so many decode.
    """
    starts = iter(range(0, len(files), BLOCK))
    threads = useful_threads(files, mapping, most=threads)
    with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
        waiting = deque(
            pool.submit(_decode_block, files, start, mapping) for start in itertools.islice(starts, AHEAD * threads)
        )
        try:
            while waiting:
                block = waiting.popleft().result()
                waiting.extend(
                    pool.submit(_decode_block, files, start, mapping) for start in itertools.islice(starts, 1)
                )
                yield block
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _decode_block(files: Sequence[str], start: int, mapping: PixelMapping) -> DecodedBlock:
    names = files[start : start + BLOCK]
    images = np.zeros((len(names), mapping.size_px, mapping.size_px, 3), dtype=np.uint8)
    content, failure = [""] * len(names), [""] * len(names)
    for place, name in enumerate(names):
        try:
            raw = read_content(Path(name))
            images[place] = decode_content(raw, mapping).image_HWI
            content[place] = hashlib.sha256(raw).hexdigest()
        except UnreadableImage as error:
            failure[place] = str(error)
    return DecodedBlock(start, images, content, failure)
