"""Every image decoded once, as uint8 at working size, in one memory-mapped file that survives a crash.

What other stores hold already is copied; see ``journal.py`` for the files. Threads decode: Pillow lets go of the
interpreter while it works, and threads need no start method, no guarded ``__main__`` and no second copy of anything
(``docs/decisions/0003-threads-decode.md``); ``pace.py`` says how many.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisyclean.base.files import write_json
from noisyclean.base.log import Reporter
from noisyclean.data.decode import PixelMapping, UnreadableImage, decode_content, quiet_pillow, read_content
from noisyclean.data.journal import (
    IMAGES,
    JOURNAL,
    STORE,
    Block,
    ImageStore,
    mapping_mark,
    open_store,
    read_journal,
)
from noisyclean.data.known import KnownImages, Place
from noisyclean.data.pace import useful_threads
from noisyclean.errors import EnvironmentProblem

__all__ = ["ImageStore", "build_store", "open_store"]

BLOCK_ROWS = 256
"""Most files a thread decodes between two lines of the journal."""
BLOCKS_A_THREAD = 8
"""Least number of blocks for each thread, so that none waits long for the last one."""
MOST_LOOKED_AT = 1_000
"""Of the files, for one that has to be decoded, to see how long that takes."""


def build_store(
    folder: Path,
    files: Sequence[str],
    mapping: PixelMapping,
    *,
    threads: int,
    reporter: Reporter,
    known: KnownImages | None = None,
) -> ImageStore:
    """Decode every file into ``folder``, continuing where an earlier, identical call stopped.

    Args:
        folder: Where the store lives; what lies there must come from the same files and mapping.
        files: Absolute path of each image.
        mapping: How pixels are mapped and resized.
        threads: At most so many decode.
        reporter: Hears about the progress.
        known: Images that need not be decoded again.

    Raises:
        EnvironmentProblem: The disk cannot hold the store.
    """
    known = known or KnownImages((), mapping)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / STORE).exists():
        _link_whole_store(folder, files, known)
        write_json(folder / STORE, {"num": len(files), "pixels": mapping_mark(mapping)})
    images = _allocate(folder / IMAGES, (len(files), mapping.size_px, mapping.size_px, 3))
    _drop_torn_line(folder / JOURNAL)
    done = {row for block in read_journal(folder / JOURNAL) for row in block.rows}
    todo = [row for row in range(len(files)) if row not in done]
    new_files = (files[row] for row in todo[:MOST_LOOKED_AT] if known.by_file(files[row]) is None)
    threads = useful_threads(new_files, mapping, most=threads)
    num_decoded = 0

    def fill(rows: list[int]) -> tuple[Block, int]:
        return _fill_block(images, rows, [files[row] for row in rows], mapping, known)

    with (
        reporter.track("decode", total=len(files), done=len(done), unit="images") as meter,
        (folder / JOURNAL).open("a", encoding="utf-8") as journal,
        quiet_pillow(),
        ThreadPoolExecutor(threads) as pool,
    ):
        step = max(1, min(BLOCK_ROWS, len(todo) // (BLOCKS_A_THREAD * threads)))
        blocks = [pool.submit(fill, todo[start : start + step]) for start in range(0, len(todo), step)]
        try:
            for future in as_completed(blocks):
                block, decoded = future.result()
                num_decoded += decoded
                journal.write(json.dumps(vars(block)) + "\n")
                journal.flush()
                meter.advance(len(block.rows))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if len(known):
        reporter.say(f"{num_decoded:,} images decoded, {len(files) - num_decoded:,} were there already")
    return open_store(folder)


def _fill_block(
    images: NDArray[np.uint8], rows: list[int], files: list[str], mapping: PixelMapping, known: KnownImages
) -> tuple[Block, int]:
    """Fill some rows of the store; returns their journal line and how many had to be decoded."""
    block = Block(rows)
    places: dict[int, Place] = {}
    num_decoded = 0
    for row, file in zip(rows, files, strict=True):
        stamp = _stamp(file)
        place = known.by_file(file)
        failure = ""
        if place is None:
            place, failure = _read(Path(file), row, images, mapping, known)
            num_decoded += place.store < 0
        if place.store >= 0:
            places[row] = place
        _note_down(block, file, stamp, place, failure)
    if places:
        images[list(places)] = known.pixels(list(places.values()))
    return block, num_decoded


def _read(
    file: Path, row: int, images: NDArray[np.uint8], mapping: PixelMapping, known: KnownImages
) -> tuple[Place, str]:
    """Read one file and decode it unless its content is known; returns what to note of it and why it failed.

    A place in no store (-1) is an image that was decoded here.
    """
    try:
        raw = read_content(file)
        content = hashlib.sha256(raw).hexdigest()
        place = known.by_content(content)
        if place is not None:
            return place, ""
        decoded = decode_content(raw, mapping)
    except UnreadableImage as error:
        return Place(-1, row, "", 0, 0, ""), str(error)
    images[row] = decoded.image_HWI
    return Place(-1, row, content, decoded.width_px, decoded.height_px, decoded.note), ""


def _stamp(file: str) -> list[int]:
    """Size and time of change, taken before the file is read: one that is replaced meanwhile is read again later."""
    with suppress(OSError):
        status = Path(file).stat()
        return [status.st_size, status.st_mtime_ns]
    return [0, 0]


def _note_down(block: Block, file: str, stamp: list[int], place: Place, failure: str) -> None:
    block.content.append(place.content)
    block.width.append(place.width)
    block.height.append(place.height)
    block.failure.append(failure)
    block.note.append(place.note)
    block.file.append(file)
    block.stamp.append(stamp)


def _link_whole_store(folder: Path, files: Sequence[str], known: KnownImages) -> None:
    """Take over a store of the very same files without copying it, where the disk can."""
    if not len(known):
        return
    places = [known.by_file(file) for file in files]
    source = known.whole_store([place for place in places if place is not None])
    if source is None or None in places:
        return
    with suppress(OSError):
        os.link(source / IMAGES, folder / IMAGES)
        shutil.copyfile(source / JOURNAL, folder / JOURNAL)


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
            hint="Free some space, choose a smaller --size, or put --out or --cache on another disk.",
        ) from error
    partial.replace(path)
    return _allocate(path, shape)


def _drop_torn_line(path: Path) -> None:
    """Cut off what a crash left of the journal's last line."""
    if path.exists():
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            with path.open("rb+") as file:
                file.truncate(end)
