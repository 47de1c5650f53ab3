"""Folders to sort by hand: the flagged images under their given label, and where they were moved to read back.

OUT/LABEL/0001_SUGGESTED_NAME    a link to the image, or a copy where the disk cannot link
OUT/_keep, _unsure, _bad         for images whose label is right, cannot be told, or that are no use
OUT/sorting.json                 which file is which image, and which folder means what

A file that stays where it was put is not judged yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import read_json, write_json
from noisyclean.base.log import Reporter
from noisyclean.data.shielding import neutralise
from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError, UsageError
from noisyclean.export.folders import link_or_copy, safe_names
from noisyclean.export.subset import FlaggedImage, Subset

__all__ = ["clear_sorting", "read_sorting", "write_sorting"]

LISTED = "sorting.json"
ASIDE = {"_keep": "keep", "_unsure": "unsure", "_bad": "bad"}
IGNORED = frozenset({"thumbs.db", "desktop.ini", LISTED})
LONGEST = 60
"""Characters of a suggestion, and of a file's own name, that its new name repeats."""
SHOWN = 5


def clear_sorting(out: Path, *, overwrite: bool) -> None:
    """Make room for :func:`write_sorting`: remove what an earlier one put there, wherever it was moved, and no more.

    ``sorting.json`` stays until the next one replaces it, so that the folder is known as ours throughout.

    Raises:
        UsageError: ``out`` is there already and may not be replaced, or is no such folder.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / LISTED).is_file():
        raise UsageError(f"{out}: is there already and is no folder to sort", hint="Name another --out.")
    if not overwrite:
        raise UsageError(
            f"{out}: is there already, perhaps with somebody's work in it",
            hint="Name another --out, or add --overwrite to sort from the beginning.",
        )
    ours = read_json(out / LISTED)["files"]
    for file in _files(out):
        if file.name in ours:
            file.unlink()


def write_sorting(subset: Subset, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Say in ``sorting.json`` what is what, then link every flagged image into the folder of its given label.

    So a folder that a killed call left behind can be told from a stranger's.

    Args:
        subset: The flagged images.
        out: A new folder, or one that :func:`clear_sorting` cleared.
        reporter: Hears of images that are gone.
    """
    names = safe_names(subset.classes, reserved=ASIDE)
    digits = max(4, len(str(subset.flagged[-1].rank))) if subset.flagged else 0
    images = {
        _file_name(image, names.get(image.suggested_label, "_"), digits): image
        for image in subset.flagged
        if image.file
    }
    folders = {word: {"verdict": verdict} for word, verdict in ASIDE.items()}
    folders |= {names[label]: {"label": label} for label in subset.classes}
    files = {name: {"image_path": image.image_path, "given_label": image.given_label} for name, image in images.items()}
    write_json(out / LISTED, {"schema_version": 1, "folders": folders, "files": files})
    for folder in folders:
        (out / folder).mkdir(exist_ok=True)
    for name, image in images.items():
        link_or_copy(image.file, out / names[image.given_label] / name)
    if len(images) < len(subset.flagged):
        reporter.warn(f"{len(subset.flagged) - len(images):,} images are gone since the audit and are left out")
    return {"num_images": len(images)}


def read_sorting(folder: Path) -> TextTable:
    """Where the files are now, as a verdict table; a folder that is new is a new label.

    Raises:
        DataError: ``folder`` was not written by :func:`write_sorting`, holds other files, or one file in two places.
    """
    if not (folder / LISTED).is_file():
        raise DataError(
            f"{folder}: holds no {LISTED}, so it is no folder of verdicts",
            hint="Verdicts are a table, an export of Label Studio, or the folder that export --to folders wrote.",
        )
    listed = read_json(folder / LISTED)
    found: dict[str, set[str]] = {}
    for file in _files(folder):
        found.setdefault(file.name, set()).add(file.relative_to(folder).parts[0])
    strange = sorted(found.keys() - listed["files"].keys())
    if strange:
        raise DataError(
            f"{folder}: {len(strange):,} files are not those that were put there: {', '.join(strange[:SHOWN])}",
            hint="Move files, do not rename them; take others away.",
        )
    rows = [_row(name, places, listed, folder) for name, places in sorted(found.items())]
    columns = ["image_path", "given_label", "verdict", "reviewed_label"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return TextTable(frame=frame.map(neutralise), path=folder, row_N=np.arange(1, len(rows) + 1, dtype=np.int64))


def _row(name: str, places: set[str], listed: dict[str, Any], folder: Path) -> tuple[str, str, str, str]:
    image = listed["files"][name]
    given, path = image["given_label"], image["image_path"]
    meanings = [listed["folders"].get(place, {"label": place}) for place in sorted(places)]
    moved = [meaning for meaning in meanings if meaning.get("label") != given]
    if len(moved) > 1:
        raise DataError(f"{folder}: {name} lies in {' and in '.join(sorted(places))}", hint="Leave it in one of them.")
    if not moved:
        return path, given, "", ""
    return path, given, moved[0].get("verdict", "relabel"), moved[0].get("label", "")


def _file_name(image: FlaggedImage, suggested: str, digits: int) -> str:
    file = Path(image.file)
    return f"{image.rank:0{digits}d}_{suggested[:LONGEST]}_{file.stem[-LONGEST:]}{file.suffix}"


def _files(folder: Path) -> list[Path]:
    """Files in the folders below, without those that systems leave behind."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]
    return [path for path in found if path.name.lower() not in IGNORED and not path.name.startswith(".")]
