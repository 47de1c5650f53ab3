"""``diff``: what changed between two audits of the same images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import refuse_place, write_text
from noisyclean.base.log import Reporter, Silent
from noisyclean.data.shielding import neutralise
from noisyclean.errors import UsageError
from noisyclean.pipeline.finished import FinishedRun, open_finished
from noisyclean.pipeline.rundir import refuse_inside
from noisyclean.pipeline.trail import read_trail
from noisyclean.report.flags import to_csv
from noisyclean.report.verdicts import Decision, decide
from noisyclean.types import BoolArray

__all__ = ["Difference", "compare_scores", "diff"]

SCHEMA_VERSION = 1
COLUMNS = ("image_path", "change", "before", "after", "review")
ABSENT, QUARANTINED, USED = "absent", "quarantined", "used"
OUTCOMES = ("kept", "relabelled", "unsure", "bad", "conflict")


@dataclass(frozen=True)
class Difference:
    """Two tables of scores, aligned by path: the images of the later one in its order, then those that are gone."""

    before: pd.DataFrame
    """Scores as text, and ``use``; empty cells where an image was absent."""
    after: pd.DataFrame

    @property
    def in_both(self) -> BoolArray:
        """Images of both tables."""
        return self._both((self.before["use"] != ABSENT) & (self.after["use"] != ABSENT))

    @property
    def label_changed(self) -> BoolArray:
        """Images given another label."""
        return self.in_both & self._differs("given_label")

    @property
    def newly_flagged(self) -> BoolArray:
        """Images flagged by the later audit alone."""
        return self._both((self.before["flagged"] != "true") & (self.after["flagged"] == "true"))

    @property
    def no_longer_flagged(self) -> BoolArray:
        """Images flagged by the earlier audit alone."""
        return self._both((self.before["flagged"] == "true") & (self.after["flagged"] != "true"))

    @property
    def suggestion_changed(self) -> BoolArray:
        """Images that both audits flagged, with another suggestion; elsewhere nobody acts on it."""
        flagged = (self.before["flagged"] == "true") & (self.after["flagged"] == "true")
        return self._both(flagged) & self._differs("suggested_label")

    @property
    def use_changed(self) -> BoolArray:
        """Images that came, went, or changed between use and quarantine."""
        return self._differs("use")

    def _differs(self, column: str) -> BoolArray:
        return self._both(self.before[column] != self.after[column])

    @staticmethod
    def _both(mask: pd.Series) -> BoolArray:
        array: BoolArray = mask.to_numpy(dtype=bool)
        return array


def compare_scores(before: pd.DataFrame, after: pd.DataFrame) -> Difference:
    """Align two tables of scores by path."""
    earlier, later = before.set_index("image_path"), after.set_index("image_path")
    index = later.index.append(earlier.index.difference(later.index, sort=False))
    return Difference(_aligned(earlier, index), _aligned(later, index))


def diff(
    run_a: str | Path, run_b: str | Path, *, out: str | Path | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Say what changed from one audit to another of the same images.

    Images are matched by their path as given. ``flagged`` and ``suggestion`` speak of what a reviewer is shown: a
    suggestion counts where both audits flag the image.

    Args:
        run_a: The earlier audit.
        run_b: The later one.
        out: Also write each change as a row ``image_path,change,before,after,review``, where ``change`` is ``label``,
            ``flagged``, ``suggestion`` or ``use`` (``used``, ``quarantined``, ``absent``) and ``review`` what
            reviewers decided, if they did.
        reporter: Hears about messages.

    Returns:
        Numbers of each change, the noise rates, which labels moved where, what reviewers decided, and a sentence.

    Raises:
        UsageError: A run is not finished, both have no image in common, or ``out`` would replace something else.
    """
    reporter = reporter or Silent()
    a, b = open_finished(Path(run_a)), open_finished(Path(run_b))
    if out is not None:
        _refuse_target(a, b, Path(out))
    found = compare_scores(a.scores, b.scores)
    if not found.in_both.any():
        raise UsageError(
            f"{a.root} and {b.root} have no image path in common: {a.scores['image_path'].iloc[0]!r} there, "
            f"{b.scores['image_path'].iloc[0]!r} here",
            hint="diff compares two audits of the same images; their tables must name them alike.",
        )
    if a.classes != b.classes:
        changes = ", ".join(sorted(set(a.classes) ^ set(b.classes)))
        reporter.warn(f"the classes differ: {changes or 'their order alone'}")
    decisions = decide([*read_trail(a.root), *read_trail(b.root)])
    if out is not None:
        rows = change_rows(found, decisions)
        write_text(Path(out), to_csv(rows.map(neutralise)), encoding="utf-8-sig")
    summary = _summary(a, b, found, decisions)
    return summary | {"verdict": _sentence(summary), "out": None if out is None else str(out)}


def change_rows(found: Difference, decisions: Mapping[str, Decision]) -> pd.DataFrame:
    """Every change as a row: all of one image together, images in order."""
    parts = [
        _rows(found, "label", "given_label", found.label_changed),
        _rows(found, "flagged", "flagged", found.newly_flagged | found.no_longer_flagged),
        _rows(found, "suggestion", "suggested_label", found.suggestion_changed),
        _rows(found, "use", "use", found.use_changed),
    ]
    rows = pd.concat(parts).sort_values("row", kind="stable")
    rows["review"] = [decisions[path].outcome if path in decisions else "" for path in rows["image_path"]]
    return rows[list(COLUMNS)].reset_index(drop=True)


def _rows(found: Difference, change: str, column: str, where_N: BoolArray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": np.flatnonzero(where_N),
            "image_path": found.after.index.to_numpy(dtype=object)[where_N],
            "change": change,
            "before": found.before[column].to_numpy(dtype=object)[where_N],
            "after": found.after[column].to_numpy(dtype=object)[where_N],
        }
    )


def _aligned(scores: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    frame = scores[["given_label", "suggested_label", "p_mislabeled", "flagged"]].copy()
    frame["use"] = np.where(frame["p_mislabeled"] == "", QUARANTINED, USED)
    frame = frame.reindex(index)
    frame["use"] = frame["use"].fillna(ABSENT)
    return frame.fillna("")


def _refuse_target(a: FinishedRun, b: FinishedRun, out: Path) -> None:
    """Changes replace changes and nothing else."""
    refuse_place(out)
    for run in (a, b):
        refuse_inside(run.images, out)
    ours = ",".join(COLUMNS).encode("utf-8-sig")
    if out.exists() and out.read_bytes()[: len(ours)] != ours:
        raise UsageError(f"--out {out}: is there already and holds no changes", hint="Name another file.")


def _summary(a: FinishedRun, b: FinishedRun, found: Difference, decisions: Mapping[str, Decision]) -> dict[str, Any]:
    paths = found.after.index.to_numpy(dtype=object)
    given = found.after["given_label"].to_numpy(dtype=object)
    reviewed = [decisions.get(path) for path in paths]
    as_reviewed = sum(
        decision is not None and decision.new_label == given[row]
        for row, decision in enumerate(reviewed)
        if found.label_changed[row]
    )
    outcomes = Counter(decision.outcome for decision in reviewed if decision is not None)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_a": str(a.root),
        "run_b": str(b.root),
        "num_images": {
            "before": len(a.scores),
            "after": len(b.scores),
            "in_both": int(found.in_both.sum()),
            "only_before": int((found.after["use"] == ABSENT).sum()),
            "only_after": int((found.before["use"] == ABSENT).sum()),
        },
        "num_labels_changed": int(found.label_changed.sum()),
        "num_labels_changed_as_reviewed": int(as_reviewed),
        "labels_moved": _moved(found),
        "num_flagged": {name: int((side["flagged"] == "true").sum()) for name, side in _sides(found)},
        "num_newly_flagged": int(found.newly_flagged.sum()),
        "num_no_longer_flagged": int(found.no_longer_flagged.sum()),
        "num_suggestions_changed": int(found.suggestion_changed.sum()),
        "num_quarantined": {name: int((side["use"] == QUARANTINED).sum()) for name, side in _sides(found)},
        "verdicts": {name: outcomes[name] for name in OUTCOMES},
        "noise_rate": {"before": a.summary["noise_rate"], "after": b.summary["noise_rate"]},
    }


def _sides(found: Difference) -> tuple[tuple[str, pd.DataFrame], ...]:
    return ("before", found.before), ("after", found.after)


def _moved(found: Difference) -> list[dict[str, Any]]:
    """From which label to which how many images went, the most first."""
    old, new = (side["given_label"].to_numpy(dtype=object)[found.label_changed] for _, side in _sides(found))
    counts = Counter(zip(old, new, strict=True))
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"from": pair[0], "to": pair[1], "num_images": count} for pair, count in order]


def _sentence(summary: Mapping[str, Any]) -> str:
    rate = {name: summary["noise_rate"][name]["estimate"] for name in ("before", "after")}
    return (
        f"{summary['num_labels_changed']:,} labels changed, {summary['num_labels_changed_as_reviewed']:,} of them as "
        f"reviewers decided; {summary['num_newly_flagged']:,} images are newly flagged, "
        f"{summary['num_no_longer_flagged']:,} no longer; the noise rate went from {rate['before']:.1%} to "
        f"{rate['after']:.1%}."
    )
