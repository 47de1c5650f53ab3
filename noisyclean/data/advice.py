"""What a user could change so that the paths of a table are found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from noisyclean.base.shell import shell_line
from noisyclean.data.formats import is_image_name
from noisyclean.data.spelling import SAMPLE, NameIndex, as_meant, best_prefix, shown, with_slashes

__all__ = ["advise", "advise_prefix"]

FOLDERS = 100
"""Folders below IMAGES that are looked into."""


def advise(paths: Sequence[str], images: Path) -> str:
    """What to do where none of the paths is a file."""
    return (
        advise_prefix(paths, images)
        or _advise_folder(paths, images)
        or _advise_ending(paths, images)
        or "Give the folder the paths are relative to as IMAGES."
    )


def advise_prefix(paths: Sequence[str], images: Path) -> str:
    """Which leading part of the paths would have to go, and how many would then be found; empty if none would."""
    best = best_prefix(paths, _finder(images))
    if best is None or ".." in with_slashes(best[0]).split("/"):
        return ""
    prefix, num_found = best
    option = shell_line(["--strip-prefix", prefix])
    return f"{num_found:,} of {len(paths):,} would be found without {shown(prefix)}: add {option}"


def _finder(images: Path) -> Callable[[str], bool]:
    """Whether a path is a file below ``images``, be it in another spelling."""
    names = NameIndex()

    def is_file(path: str) -> bool:
        meant = as_meant(path)
        return os.path.isfile(os.path.join(images, meant)) or names.find(str(images), meant) is not None

    return is_file


def _advise_folder(paths: Sequence[str], images: Path) -> str:
    """Which folder below ``images`` holds most of the paths."""
    sample = paths[:: max(1, len(paths) // SAMPLE)]
    hits: Counter[str] = Counter()
    for folder in sorted(entry for entry in images.iterdir() if entry.is_dir())[:FOLDERS]:
        is_file = _finder(folder)
        hits[str(folder)] = sum(is_file(path) for path in sample)
    if not hits.total():
        return ""
    folder_name, num_hits = hits.most_common(1)[0]
    of = "" if len(sample) == len(paths) else " tried"
    if num_hits < hits.total():
        return (
            f"They are spread over the folders of {shown(str(images))} ({num_hits:,} of {len(sample):,}{of} are in "
            f"{shown(os.path.basename(folder_name))}): write the folder before each name."
        )
    return f"{num_hits:,} of {len(sample):,}{of} would be found in {shown(folder_name)}: give that folder as IMAGES."


def _advise_ending(paths: Sequence[str], images: Path) -> str:
    """Which ending the paths lack."""
    folder = images / os.path.dirname(as_meant(paths[0]))
    try:
        names = [name for name in os.listdir(folder) if is_image_name(name)]
    except OSError:
        return ""
    endings = Counter(os.path.splitext(name)[1] for name in names)
    is_file = _finder(images)
    for ending, _ in endings.most_common():
        num_found = sum(is_file(path.strip() + ending) for path in paths)
        if num_found:
            return (
                f"{num_found:,} of {len(paths):,} would be found with {ending!r} at their end: write it into the table."
            )
    return ""
