"""The audit trail of a run: every verdict ever merged, in ``verdicts.log.csv``, only ever added to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from noisyclean.base.files import write_text
from noisyclean.data.shielding import neutralise, restore
from noisyclean.report.verdicts import Decision, Verdict

__all__ = ["TRAIL", "WRITTEN", "add_to_trail", "read_trail"]

TRAIL = "verdicts.log.csv"
WRITTEN = "review.json"
"""Beside it: SHA-256 of the tables that reviews wrote, so that only our own are replaced."""
VERDICT_FIELDS = tuple(field.name for field in fields(Verdict))
COLUMNS = ("merged_at", *VERDICT_FIELDS, "outcome")


def read_trail(root: Path) -> list[Verdict]:
    """All verdicts merged into a run so far, in order; those an earlier round left are among them."""
    path = root / TRAIL
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [Verdict(**{name: restore(row[name]) for name in VERDICT_FIELDS}) for row in csv.DictReader(file)]


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
    before = path.read_text(encoding="utf-8-sig") if path.exists() else ",".join(COLUMNS) + "\n"
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    stamp = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    for item in fresh:
        cells = [stamp, *(getattr(item, name) for name in VERDICT_FIELDS), decisions[item.image_path].outcome]
        writer.writerow([neutralise(cell) for cell in cells])
    write_text(path, before + lines.getvalue(), encoding="utf-8-sig")
    return len(fresh)
