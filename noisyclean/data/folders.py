"""A folder per class, read as a table; a top level of train/val/valid/test becomes the split."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError

__all__ = ["table_from_folders"]

SPLITS = frozenset({"train", "val", "valid", "validation", "test"})
IMAGE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".heic",
        ".heif",
    }
)


def table_from_folders(images: Path) -> TextTable:
    """List ``images/CLASS/**`` or ``images/SPLIT/CLASS/**`` as a table of ``path``, ``label`` and perhaps ``split``.

    Raises:
        DataError: There is no folder with images in it.
    """
    tops = _subfolders(images)
    has_splits = bool(tops) and all(top.name.casefold() in SPLITS for top in tops)
    rows: list[dict[str, str]] = []
    for top in tops:
        for class_folder in _subfolders(top) if has_splits else [top]:
            for file in _images_below(class_folder):
                row = {"path": file.relative_to(images).as_posix(), "label": class_folder.name}
                rows.append({**row, "split": top.name} if has_splits else row)
    if not rows:
        raise DataError(
            f"{images}: no folder per class with images in it",
            hint="Give a table of labels as LABELS, or sort the images as IMAGES/CLASS/image.jpg.",
        )
    return TextTable(frame=pd.DataFrame(rows, dtype=object), path=images, encoding="utf-8", delimiter=",")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def _images_below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            if not _is_hidden(name) and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(root, name)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX", "@eaDir"))
