"""From the paths in a table to files inside the images folder, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from noisyclean.errors import DataError
from noisyclean.types import BoolArray, StrArray

__all__ = ["Located", "locate"]

SAMPLE = 2_000
"""Rows tried to see which base folder the paths are relative to."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where the images of a table are."""

    file_N: StrArray
    found_N: BoolArray
    base: str
    """What the paths are relative to, in words."""
    stamps: list[tuple[int, int]]
    """Size and time of change of each file; zeros where there is none."""


def locate(paths: Sequence[str], images: Path, labels_folder: Path) -> Located:
    """Find each path relative to IMAGES, else to LABELS' folder, else absolute inside IMAGES.

    One base is used for the whole table: the first for which every sampled row exists, else the one with most.

    Raises:
        DataError: A path leaves IMAGES, or no base fits; the message names the prefix that would.
    """
    bases = {f"relative to {images}": images, f"relative to {labels_folder}": labels_folder, "absolute": Path("/")}
    sample = paths[:: max(1, len(paths) // SAMPLE)]
    hits = {name: sum(os.path.isfile(_join(base, path)) for path in sample) for name, base in bases.items()}
    name = max(hits, key=lambda key: hits[key])
    if hits[name] == 0:
        raise DataError(
            f"none of the paths is a file, neither in {images} nor beside the table; the first is {paths[0]!r}",
            hint=_prefix_advice(paths[0], images),
        )
    guard = _Inside(images)
    joined = [_join(bases[name], path) for path in paths]
    for row, (path, file) in enumerate(zip(paths, joined, strict=True)):
        if not guard.contains(file):
            raise DataError(
                f"row {row + 2}: {path!r} leaves the images folder {images}", hint="Every image must lie inside IMAGES."
            )
    stamps = [_stamp(file) for file in joined]
    found = np.asarray([stamp != (0, 0) for stamp in stamps])
    return Located(file_N=np.asarray(joined, dtype=object), found_N=found, base=name, stamps=stamps)


@dataclass
class _Inside:
    """Whether a path, its links followed, stays inside a folder; the parents' answers are remembered."""

    folder: Path
    parents: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = os.path.realpath(self.folder)

    def contains(self, file: str) -> bool:
        parent, name = os.path.split(file)
        if parent not in self.parents:
            self.parents[parent] = os.path.realpath(parent)
        real = os.path.join(self.parents[parent], name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        return real.startswith(self.root + os.sep)


def _join(base: Path, path: str) -> str:
    return os.path.normpath(os.path.join(base, path.strip().replace("\\", "/")))


def _stamp(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def _prefix_advice(path: str, images: Path) -> str:
    """Which leading part of the path would have to go, or to be added, for it to be found."""
    parts = path.strip().replace("\\", "/").split("/")
    for cut in range(1, len(parts)):
        if os.path.isfile(images.joinpath(*parts[cut:])):
            return f"They would be found without {'/'.join(parts[:cut])!r}: take it off, or give its folder as IMAGES."
    for folder in sorted(entry for entry in images.iterdir() if entry.is_dir())[:100]:
        if folder.joinpath(*parts).is_file():
            return f"They would be found in {str(folder)!r}: give that folder as IMAGES."
    return "Give the folder the paths are relative to as IMAGES."
