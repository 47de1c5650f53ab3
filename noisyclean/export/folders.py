"""A folder per class, made of links to the images (copies where the disk cannot link); the images stay in place."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from noisyclean.errors import UsageError

__all__ = ["Placed", "link_or_copy", "place_in_folders", "safe_names"]

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""What some system does not allow in a name."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
MARK = ".noisyclean-partial"
"""File in a tree that is not whole yet."""


@dataclass(frozen=True)
class Placed:
    """One image of the new tree."""

    file: str
    """Where the image is."""
    label: str
    split: str = ""
    """The folder above the class folder; none if empty."""


def place_in_folders(images: Sequence[Placed], target: Path) -> list[str]:
    """Link every image into ``target/SPLIT/CLASS/NAME``; returns the new paths below ``target``.

    Images of one name in one class get a number. The tree appears as a whole or not at all.

    Raises:
        UsageError: Where it grows there is something else.
    """
    partial = _begin_tree(target)
    names = safe_names(sorted({image.label for image in images} | {image.split for image in images if image.split}))
    taken: set[str] = set()
    places: list[str] = []
    for image in images:
        folder = (
            PurePosixPath(names[image.split], names[image.label]) if image.split else PurePosixPath(names[image.label])
        )
        place = _free_place(folder, Path(image.file), taken)
        taken.add(place.casefold())
        places.append(place)
        path = partial / place
        path.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(image.file, path)
    (partial / MARK).unlink()
    if target.exists():
        target.rmdir()
    partial.replace(target)
    return places


def _begin_tree(target: Path) -> Path:
    """The folder beside ``target`` in which its tree grows, without what an interrupted call left there."""
    partial = target.with_name(f"{target.name}.partial")
    if (partial / MARK).is_file():
        shutil.rmtree(partial)
    elif partial.exists():
        raise UsageError(f"{partial}: is there already and is no tree begun here", hint="Move it away.")
    partial.mkdir(parents=True)
    (partial / MARK).touch()
    return partial


def safe_names(names: Sequence[str], *, reserved: Iterable[str] = ()) -> dict[str, str]:
    """A folder name for each class: what a system forbids becomes ``_``, and different classes stay different.

    Args:
        names: Of the classes.
        reserved: Folder names that no class gets.
    """
    safe: dict[str, str] = {}
    taken = {name.casefold() for name in reserved}
    for name in names:
        base = FORBIDDEN.sub("_", name).strip(". ") or "_"
        base = f"_{base}" if RESERVED.fullmatch(base) else base
        candidate, number = base, 2
        while candidate.casefold() in taken:
            candidate, number = f"{base}_{number}", number + 1
        taken.add(candidate.casefold())
        safe[name] = candidate
    return safe


def _free_place(folder: PurePosixPath, file: Path, taken: set[str]) -> str:
    place, number = str(folder / file.name), 2
    while place.casefold() in taken:
        place, number = str(folder / f"{file.stem}-{number}{file.suffix}"), number + 1
    return place


def link_or_copy(source: str, target: Path) -> None:
    """Make ``target`` another name of the file, or a copy of it; a name that is taken is taken over, its file is not.

    Writing through a name that is there could change an image that it links to; so it is removed first.
    """
    real = os.path.realpath(source)
    target.unlink(missing_ok=True)
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)
