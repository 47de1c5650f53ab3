"""The audit trail of a run: every verdict ever merged, in ``verdicts.log.csv``, only ever added to."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from noisyclean.base.files import write_text
from noisyclean.data.delimited import write_records
from noisyclean.data.shielding import neutralise, restore
from noisyclean.errors import DataError
from noisyclean.report.verdicts import Decision, Verdict

__all__ = ["TRAIL", "WRITTEN", "add_to_trail", "read_trail"]

TRAIL = "verdicts.log.csv"
WRITTEN = "review.json"
"""Beside it: SHA-256 of the tables that reviews wrote, so that only our own are replaced."""
VERDICT_FIELDS = tuple(field.name for field in fields(Verdict))
COLUMNS = ("merged_at", *VERDICT_FIELDS, "outcome")


def read_trail(root: Path) -> list[Verdict]:
    """All verdicts merged into a run so far, in order; those an earlier round left are among them.

    Raises:
        DataError: A row is torn.
    """
    path = root / TRAIL
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        return [_verdict(row, path, rows.line_num) for row in rows]


def add_to_trail(
    root: Path, verdicts: Iterable[Verdict], decisions: Mapping[str, Decision], *, now: datetime | None = None
) -> int:
    """Append the verdicts that say something new; returns how many that were.

    Args:
        root: The run.
        verdicts: Those merged now.
        decisions: What became of each image.
        now: The time noted.
    """
    known = {(verdict.image_path, verdict.reviewer): verdict for verdict in read_trail(root)}
    fresh = [item for item in verdicts if known.get((item.image_path, item.reviewer)) != item]
    if not fresh:
        return 0
    path = root / TRAIL
    before = path.read_bytes().decode("utf-8-sig") if path.exists() else write_records([COLUMNS])
    stamp = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    rows = [
        [stamp, *(getattr(item, name) for name in VERDICT_FIELDS), decisions[item.image_path].outcome] for item in fresh
    ]
    added = write_records([neutralise(cell) for cell in row] for row in rows)
    write_text(path, before + added, encoding="utf-8-sig")
    return len(fresh)


def _verdict(row: Mapping[str, str | None], path: Path, line: int) -> Verdict:
    cells = {name: restore(cell) for name in VERDICT_FIELDS if (cell := row.get(name)) is not None}
    if len(cells) < len(VERDICT_FIELDS):
        raise DataError(
            f"{path}: line {line}: the row is torn",
            hint="Join the lines of the row, or move the file out of the run, which withdraws all verdicts in it.",
        )
    return Verdict(**cells)
