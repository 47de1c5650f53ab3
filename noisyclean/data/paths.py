"""From the paths in a table to files inside the images folder, and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from noisyclean.data.advice import advise, advise_prefix
from noisyclean.data.spelling import NameIndex, as_meant, is_case_insensitive, shown, strip_prefix, with_slashes
from noisyclean.errors import DataError
from noisyclean.types import BoolArray, IntArray, StrArray

__all__ = ["Located", "Stamp", "locate", "stamp_of"]

SAMPLE = 2_000
"""Rows tried to see which base folder the paths are relative to."""

Stamp = tuple[int, int]
"""Size and time of change of a file."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where the images of a table are."""

    file_N: StrArray
    """Absolute path of each file."""
    found_N: BoolArray
    key_N: StrArray
    """Equal where two rows mean the same file."""
    base: str
    """What the paths are relative to, in words."""
    stamps: list[Stamp]
    """Size and time of change of each file; zeros where there is none."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def locate(
    paths: Sequence[str],
    images: Path,
    labels_folder: Path,
    *,
    row_N: IntArray | None,
    prefix: str | None = None,
    doubt: str = "",
    table: Path | None = None,
) -> Located:
    """Find each path relative to IMAGES, else to LABELS' folder, else absolute inside IMAGES.

    One base is used for the whole table: the first for which every sampled row exists, else the one with most. A path
    is tried as written, then without spaces around it and with slashes for backslashes, then as any one file whose name
    differs in Unicode composition or in case only.

    Args:
        paths: As given.
        images: The images folder.
        labels_folder: The table's folder.
        row_N: Row numbers, for messages; None where the paths are not from a table.
        prefix: Taken off each path first.
        doubt: What else may be wrong where no path is found; said last.
        table: Where the paths are from, for messages.

    Raises:
        DataError: A path leaves IMAGES, or no base fits; the message names the prefix that would.
        UsageError: No path begins with ``prefix``.
    """
    tried = strip_prefix(paths, prefix) if prefix else paths
    base, base_words = _choose_base(tried, images, labels_folder, doubt, table)
    guard = _Inside(images)
    names = NameIndex()
    files: list[str] = []
    stamps: list[Stamp] = []
    num_respelled = 0
    for row, path in enumerate(tried):
        file, stamp = _first_there(base, path)
        if file is None:
            file = _joined(base, with_slashes(path.strip()))
            other = names.find(guard.root, _below(guard, file)) if guard.contains(file) else None
            if other is not None:
                file, stamp = other, stamp_of(other)
                num_respelled += 1
        if not guard.contains(file):
            is_there = os.path.exists(file)
            raise DataError(
                f"{'' if row_N is None else f'row {row_N[row]}: '}{shown(paths[row])} leaves the images folder {images}"
                f"{f': it is {os.path.realpath(file)}' if is_there else ''}",
                hint=("" if is_there else advise_prefix(tried, images))
                or "Every image must lie inside IMAGES, links included: give the folder that holds all of them.",
            )
        files.append(file)
        stamps.append(stamp)
    found_N = np.asarray([stamp != (0, 0) for stamp in stamps])
    folds = is_case_insensitive(guard.root)
    notes = [
        f"{num_respelled:,} file names differ from the table in accents or in upper and lower case; they were matched"
    ]
    return Located(
        file_N=np.asarray(files, dtype=object),
        found_N=found_N,
        key_N=np.asarray([key.casefold() if folds else key for key in map(guard.full, files)], dtype=object),
        base=base_words,
        stamps=stamps,
        notes=tuple(notes if num_respelled else []),
        warnings=_about_missing([path for path, found in zip(tried, found_N, strict=True) if not found], images),
    )


def _about_missing(paths: Sequence[str], images: Path) -> tuple[str, ...]:
    """Where some paths are found and others are not: the prefix that those have too much."""
    advice = advise_prefix(paths, images) if paths else ""
    return (f"{len(paths):,} files are not found; {advice}",) if advice else ()


def _choose_base(
    paths: Sequence[str], images: Path, labels_folder: Path, doubt: str, table: Path | None
) -> tuple[str, str]:
    """An absolute folder, and what it is in the user's words."""
    folders = {f"relative to {images}": images, f"relative to {labels_folder}": labels_folder, "absolute": Path("/")}
    bases = {words: os.path.abspath(folder) for words, folder in folders.items()}
    sample = paths[:: max(1, len(paths) // SAMPLE)]
    hits = {words: sum(_first_there(base, path)[0] is not None for path in sample) for words, base in bases.items()}
    words = max(hits, key=lambda key: hits[key])
    if hits[words]:
        return bases[words], words
    names = NameIndex()
    if any(names.find(str(images), as_meant(path)) for path in sample):
        return os.path.abspath(images), f"relative to {images}"
    raise DataError(
        f"{f'{table}: ' if table else ''}none of the paths is a file, neither in {images} nor beside the table; "
        f"the first is {shown(paths[0])}",
        hint=f"{advise(paths, images)} {doubt}".strip(),
    )


@dataclass
class _Inside:
    """Whether a path, its links followed, stays inside a folder; the parents' answers are remembered."""

    folder: Path
    parents: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = os.path.realpath(self.folder)
        self.start = os.path.join(os.path.normcase(self.root), "")

    def full(self, file: str) -> str:
        """The same however it was spelled: absolute, links of folders followed."""
        parent, name = os.path.split(file)
        if parent not in self.parents:
            self.parents[parent] = os.path.realpath(parent)
        return os.path.join(self.parents[parent], name)

    def contains(self, file: str) -> bool:
        real = self.full(file)
        if os.path.islink(real):
            real = os.path.realpath(real)
        return os.path.normcase(real).startswith(self.start)


def _below(guard: _Inside, file: str) -> str:
    """A file's path below the images folder, with slashes."""
    return guard.full(file)[len(guard.start) :].replace(os.sep, "/")


def _joined(base: str, path: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _spellings(path: str) -> Iterator[str]:
    """A path as written, then as it was probably meant."""
    yield path
    meant = path.strip()
    if meant != path:
        yield meant
    if "\\" in meant:
        yield with_slashes(meant)


def _first_there(base: str, path: str) -> tuple[str | None, Stamp]:
    for spelling in _spellings(path):
        file = _joined(base, spelling)
        stamp = stamp_of(file)
        if stamp != (0, 0):
            return file, stamp
    return None, (0, 0)


def stamp_of(file: str) -> Stamp:
    """Size and time of change; zeros for what is not there, a folder too."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return (0, 0)
    return (0, 0) if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
