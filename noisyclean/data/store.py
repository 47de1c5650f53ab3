"""Every image decoded once, as uint8 at working size, in one memory-mapped file that survives a crash.

    images.npy      uint8, shape (N, size, size, 3)
    journal.jsonl   one line for each finished block: its rows' content hashes, original sizes, failures, notes

A block counts as done only when its line is complete in the journal, so a killed run continues behind the last one.
Threads decode: Pillow lets go of the interpreter while it works, and threads need no start method, no guarded
``__main__`` and no second copy of anything (``docs/decisions/0003-threads-decode.md``).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisyclean.base.log import Reporter
from noisyclean.data.decode import Decoded, PixelMapping, UnreadableImage, decode
from noisyclean.errors import EnvironmentProblem
from noisyclean.types import IntArray, StrArray

__all__ = ["ImageStore", "build_store", "open_store"]

BLOCK_ROWS = 256
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
class _Block:
    """One line of the journal; lists are as long as ``rows``."""

    rows: list[int]
    content: list[str]
    width: list[int]
    height: list[int]
    failure: list[str]
    note: list[str]


def build_store(
    folder: Path, files: Sequence[str], mapping: PixelMapping, *, threads: int, reporter: Reporter
) -> ImageStore:
    """Decode every file into ``folder``, continuing where an earlier, identical call stopped.

    Args:
        folder: Where the store lives; what lies there must come from the same files and mapping.
        files: Absolute path of each image.
        mapping: How pixels are mapped and resized.
        threads: Decoding threads.
        reporter: Hears about the progress.

    Raises:
        EnvironmentProblem: The disk cannot hold the store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = _allocate(folder / IMAGES, (len(files), mapping.size_px, mapping.size_px, 3))
    done = {row for block in _read_journal(folder / JOURNAL) for row in block.rows}
    todo = [row for row in range(len(files)) if row not in done]

    def decode_block(rows: list[int]) -> _Block:
        return _decode_block(images, rows, [files[row] for row in rows], mapping)

    with (
        reporter.track("decode", total=len(files), done=len(done), unit="images") as meter,
        (folder / JOURNAL).open("a", encoding="utf-8") as journal,
        ThreadPoolExecutor(threads) as pool,
    ):
        blocks = (
            pool.submit(decode_block, todo[start : start + BLOCK_ROWS]) for start in range(0, len(todo), BLOCK_ROWS)
        )
        for future in as_completed(list(blocks)):
            block = future.result()
            journal.write(json.dumps(vars(block)) + "\n")
            journal.flush()
            meter.advance(len(block.rows))
    return open_store(folder)


def open_store(folder: Path) -> ImageStore:
    """Open a finished store without reading the pixels."""
    images = np.load(
        folder / IMAGES, mmap_mode="c", allow_pickle=False
    )  # private to us: writing never reaches the file
    num = len(images)
    content, failure, note = (np.full(num, "", dtype=object) for _ in range(3))
    size_N2 = np.zeros((num, 2), dtype=np.int64)
    for block in _read_journal(folder / JOURNAL):
        content[block.rows] = block.content
        failure[block.rows] = block.failure
        note[block.rows] = block.note
        size_N2[block.rows] = np.stack([block.width, block.height], axis=1)
    return ImageStore(images_NHWI=images, content_N=content, size_N2=size_N2, failure_N=failure, note_N=note)


def _decode_block(images: NDArray[np.uint8], rows: list[int], files: list[str], mapping: PixelMapping) -> _Block:
    block = _Block(rows, [], [], [], [], [])
    for row, file in zip(rows, files, strict=True):
        content, decoded, failure = _decode_one(Path(file), mapping)
        if decoded is not None:
            images[row] = decoded.image_HWI
        block.content.append(content)
        block.width.append(decoded.width_px if decoded else 0)
        block.height.append(decoded.height_px if decoded else 0)
        block.failure.append(failure)
        block.note.append(decoded.note if decoded else "")
    return block


def _decode_one(file: Path, mapping: PixelMapping) -> tuple[str, Decoded | None, str]:
    content = ""
    try:
        decoded = decode(file, mapping)
        content = hashlib.sha256(file.read_bytes()).hexdigest()
    except UnreadableImage as error:
        return content, None, str(error)
    return content, decoded, ""


def _allocate(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Open or create the memory map, its disk blocks reserved: a full disk is an error now and not a crash later."""
    if path.exists():
        images: NDArray[np.uint8] = np.load(path, mmap_mode="r+", allow_pickle=False)
        return images
    partial = path.with_suffix(".partial")
    try:
        np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            with partial.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno != errno.ENOSPC:
            raise
        size_gib = int(np.prod(shape, dtype=np.int64)) / 2**30
        raise EnvironmentProblem(
            f"the decoded images need {size_gib:.1f} GiB, more than the disk under {path.parent} has",
            hint="Free some space, choose a smaller --size, or put --out on another disk.",
        ) from error
    partial.replace(path)
    return _allocate(path, shape)


def _read_journal(path: Path) -> Iterator[_Block]:
    """Finished blocks; a last line torn by a crash is dropped from the file."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(end)
                return
            end += len(line)
            yield _Block(**json.loads(line))
