"""A folder per class, read as a table; a top level of train/val/valid/test becomes the split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from noisyclean.data.formats import is_image_name
from noisyclean.data.splits import SPLIT_NAMES
from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError, UsageError

__all__ = ["list_images", "table_from_folders", "table_of_paths", "unlisted_images"]

SYSTEM_FOLDERS = frozenset(
    {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@eaDir", "#recycle"}
)
"""Folders that systems and network drives make."""
HIDDEN_START = "."
UNLABELLED_NAMES = frozenset({"unlabeled", "unlabelled", "unknown", "unsorted"})


def table_from_folders(images: Path, *, class_level: int | None = None) -> TextTable:
    """List the images below ``images`` as a table of ``path``, ``label`` and perhaps ``split``.

    Args:
        images: The folder.
        class_level: Which level of folders names the class, 1 being the top one (below the split, if there is one).

    Raises:
        DataError: There is no folder with images in it.
        UsageError: No image lies that deep.
    """
    others: Counter[str] = Counter()
    table = table_of_paths(images, list_images(images, others), class_level=class_level)
    if not others:
        return table
    endings = ", ".join(f"{count:,} {ending or 'without ending'}" for ending, count in others.most_common(5))
    return replace(table, notes=(*table.notes, f"files that are no images were left alone: {endings}"))


def table_of_paths(images: Path, paths: Iterable[str], *, class_level: int | None = None) -> TextTable:
    """The same of some images whose paths below ``images`` are known, whether they are there or not."""
    folders_of = [(path, path.split("/")[:-1]) for path in paths]
    tops = {folders[0] for _, folders in folders_of if folders}
    if not tops:
        raise DataError(
            f"{images}: no folder per class with images in it",
            hint="Give a table of labels as LABELS, or sort the images as IMAGES/CLASS/image.jpg.",
        )
    has_splits = all(top.casefold() in SPLIT_NAMES for top in tops)
    level = (class_level or 1) + has_splits
    label = [folders[level - 1] if len(folders) >= level else "" for _, folders in folders_of]
    if class_level is not None and (class_level < 1 or not any(label)):
        raise UsageError(
            f"--class-level {class_level}: no image lies that deep in {images}", hint=_tree(folders_of, int(has_splits))
        )
    columns = {"path": [path for path, _ in folders_of], "label": label}
    if has_splits:
        columns["split"] = [folders[0] if folders else "" for _, folders in folders_of]
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    notes = _about_names(tops, has_splits, set(label))
    depth = max(len(folders) for _, folders in folders_of)
    if class_level is not None or depth > level:
        chosen = "as asked" if class_level is not None else "name another with --class-level"
        tree = _tree(folders_of, int(has_splits))
        notes.append(f"folders: {tree}; classes are level {class_level or 1} ({chosen})")
    row_N = np.arange(2, len(frame) + 2, dtype=np.int64)
    return TextTable(frame=frame, path=images, row_N=row_N, kind="folders", notes=tuple(notes))


def list_images(images: Path, others: Counter[str] | None = None) -> Iterator[str]:
    """Paths of all images below a folder, relative to it, in order; what is hidden and system folders are ignored.

    Linked folders are followed, each once.

    Args:
        images: The folder.
        others: Counts the endings of the files that are no images.
    """
    root_length = len(str(images))
    linked: set[str] = {os.path.realpath(images)}
    for root, folders, files in os.walk(images, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_system(name) and _is_fresh(root, name, linked))
        below = root[root_length:].replace(os.sep, "/").strip("/")
        for name in sorted(files):
            if name.startswith(HIDDEN_START):
                continue
            path = f"{below}/{name}" if below else name
            if is_image_name(name) and _is_text(path):
                yield path
            elif others is not None:
                others[os.path.splitext(name)[1].lower() if _is_text(path) else "with names that are not UTF-8"] += 1


def unlisted_images(images: Path, listed: Iterable[str]) -> list[str]:
    """Absolute paths of the images below a folder that are none of the listed files, links followed; in order."""
    known = {os.path.realpath(file) for file in listed}
    found = [os.path.abspath(images / path) for path in list_images(images)]
    return [file for file in found if os.path.realpath(file) not in known]


def _is_system(folder: str) -> bool:
    return folder.startswith(HIDDEN_START) or folder in SYSTEM_FOLDERS


def _is_fresh(root: str, name: str, linked: set[str]) -> bool:
    """Whether a folder is none that a link has led to before: links can go in circles."""
    path = os.path.join(root, name)
    if not os.path.islink(path):
        return True
    real = os.path.realpath(path)
    is_fresh = real not in linked
    linked.add(real)
    return is_fresh


def _is_text(name: str) -> bool:
    """Whether a name can be written into a table; names of bytes in another encoding cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _tree(folders_of: list[tuple[str, list[str]]], skipped: int) -> str:
    """The names on each level of folders below the split."""
    depth = max(len(folders) for _, folders in folders_of)
    levels: list[str] = []
    for position in range(skipped, depth):
        names = sorted({folders[position] for _, folders in folders_of if len(folders) > position})
        shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        levels.append(f"level {position + 1 - skipped} has {len(names):,} ({shown})")
    return "; ".join(levels) or "there are no folders"


def _about_names(tops: set[str], has_splits: bool, labels: set[str]) -> list[str]:
    notes: list[str] = []
    like_splits = sorted(top for top in tops if top.casefold() in SPLIT_NAMES)
    if has_splits:
        notes.append(f"the top folders are splits: {', '.join(sorted(tops))}")
    elif like_splits:
        others = ", ".join(sorted(tops - set(like_splits))[:3])
        notes.append(f"{', '.join(like_splits)} look like splits, but beside {others} they are taken for classes")
    unlabelled = sorted(name for name in labels if name.casefold() in UNLABELLED_NAMES)
    if unlabelled:
        notes.append(
            f"{unlabelled[0]!r} is taken for a class; if its images have no label: --unlabeled {unlabelled[0]}"
        )
    return notes
