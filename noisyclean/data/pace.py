"""How many threads decoding is worth: each waits for the interpreter after every file, and many hinder each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from noisyclean.data.decode import PixelMapping, UnreadableImage, decode

__all__ = ["useful_threads"]

ENOUGH_S = 1e-3
"""Seconds of decoding after which it is known how long a file takes."""
FILE_S = 200e-6
"""So many seconds that a file takes are worth one thread (``docs/decisions/0003-threads-decode.md``)."""


def useful_threads(files: Iterable[str], mapping: PixelMapping, *, most: int) -> int:
    """Decode a few files for their time alone; not for threads.

    Args:
        files: What is to be decoded; no more is read of it than is needed.
        mapping: How pixels are mapped and resized.
        most: At most so many threads, and the answer where there is no file to tell by.
    """
    if most == 1:
        return 1
    taken_s = []
    for file in files:
        start_s = time.perf_counter()
        with suppress(UnreadableImage):
            decode(Path(file), mapping)
        taken_s.append(time.perf_counter() - start_s)
        if sum(taken_s[1:]) >= ENOUGH_S:
            break
    timed_s = taken_s[1:]  # For the first one libraries are loaded.
    return min(most, max(1, round(statistics.median(timed_s) / FILE_S))) if timed_s else most
