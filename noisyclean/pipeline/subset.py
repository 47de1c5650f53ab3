"""The flagged images of a finished audit, for whoever takes them over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from noisyclean.data.shielding import restore
from noisyclean.data.tables import read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.export.subset import FlaggedImage, Subset
from noisyclean.pipeline.finished import FinishedRun
from noisyclean.pipeline.preparing import pixel_mapping

__all__ = ["flagged_subset"]

AGAIN = "Move it away and run the same audit command again: it writes flagged.csv anew."


def flagged_subset(finished: FinishedRun) -> Subset:
    """All flagged images, worst first, with what annotators wrote into ``flagged.csv`` so far.

    Raises:
        UsageError: ``flagged.csv`` is gone.
        DataError: It lacks a column, or holds an image that the run does not know.
    """
    cells = _read_flagged(finished)
    file_of: dict[str, str] = {}
    if len(cells):
        table = finished.read_labels().table
        file_of = dict(zip(table.image_path_N, map(str, table.file_N), strict=True))
    scored = finished.scores.set_index("image_path", drop=False).to_dict("index")
    reasons = cells["reason"] if "reason" in cells else [""] * len(cells)
    flagged = []
    for rank, cell, reason in zip(cells["rank"], cells["image_path"], reasons, strict=True):
        path = next((path for path in (cell, restore(cell)) if path in scored), None)
        if path is None:
            raise DataError(f"{finished.run.flagged()}: image {cell!r} is not in the run", hint=AGAIN)
        row, file = scored[path], file_of.get(path, "")
        flagged.append(
            FlaggedImage(
                rank=int(rank),
                image_path=path,
                file=file if file and Path(file).is_file() else "",
                given_label=row["given_label"],
                suggested_label=row["suggested_label"],
                p_mislabeled=float(row["p_mislabeled"]),
                p_suggested=float(row["p_suggested"]),
                reason=restore(str(reason)),
            )
        )
    return Subset(
        run=finished.root,
        images=finished.images,
        classes=finished.classes,
        flagged=tuple(flagged),
        cells=cells,
        mapping=pixel_mapping(finished.plan),
    )


def _read_flagged(finished: FinishedRun) -> pd.DataFrame:
    """The list that the audit wrote last as text, also after a spreadsheet rewrote it."""
    path = finished.run.flagged()
    if not path.exists():
        raise UsageError(f"{path}: is gone", hint=AGAIN)
    if (finished.scores["flagged"] == "true").any():
        cells = read_table(path).frame
    else:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    missing = [name for name in ("image_path", "verdict", "reviewed_label", "comment") if name not in cells.columns]
    if missing:
        raise DataError(f"{path}: has no column {missing[0]}", hint=AGAIN)
    return _worst_first(cells)


def _worst_first(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows by their ``rank``, however somebody sorted them; where some have none of their own, by their place."""
    if "rank" not in cells or not cells["rank"].is_unique or not cells["rank"].str.fullmatch(r"\d+").all():
        cells = cells.assign(rank=[str(place) for place in range(1, len(cells) + 1)])
    return cells.sort_values("rank", key=lambda rank: rank.astype(int), kind="stable", ignore_index=True)
