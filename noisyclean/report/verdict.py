"""The audit in one sentence, and as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noisyclean import __version__
from noisyclean.types import NOT_RECOGNISABLE, LabelTable, SampleStats

__all__ = ["SCHEMA_VERSION", "summarise", "verdict_sentence"]

SCHEMA_VERSION = 1
LOOKS_CLEAN = 0.03
"""Estimated noise rate below which the labels are said to look clean."""


def verdict_sentence(num_images: int, stats: SampleStats) -> str:
    """What the audit found, in one sentence."""
    num_flagged = int(stats.flagged_N.sum())
    num_unknown = int((stats.issue_N == NOT_RECOGNISABLE).sum())
    interval = f"95 % interval {stats.noise.low:.1%} to {stats.noise.high:.1%}"
    rate = f"{stats.noise.rate:.1%} of the labels are wrong ({interval})"
    if stats.noise.rate < LOOKS_CLEAN and stats.noise.high < 1:
        tail = f"{num_flagged:,} of {num_images:,} images are worth a look" if num_flagged else "nothing was flagged"
        return f"Your labels look clean: about {rate}; {tail}."
    if num_unknown and not num_flagged:
        return (
            f"Nothing can be told about these labels: the {num_unknown:,} of {num_images:,} images that something "
            "speaks against are of classes that are not recognisable."
        )
    flagged = f"{num_flagged:,} of {num_images:,} images are flagged, the surest first"
    return f"About {rate}; {flagged if num_flagged else 'none is flagged'}."


def summarise(
    table: LabelTable,
    stats: SampleStats,
    *,
    num_quarantined: int,
    inputs: Mapping[str, Any],
    notes: Sequence[str],
    plan: Mapping[str, Any],
    stages: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """``summary.json``.

    Args:
        table: The usable rows.
        stats: Verdicts on them.
        num_quarantined: Rows of the input that could not be used.
        inputs: What was read and how, JSON-like.
        notes: What was noticed while decoding.
        plan: The plan, JSON-like.
        stages: Seconds and peak memory of each stage; the report's own, not known yet, stand in ``report/done.json``.
    """
    given_C = np.bincount(table.label_N, minlength=table.num_classes)
    flagged_C = np.bincount(table.label_N[stats.flagged_N], minlength=table.num_classes)
    issues, counts = np.unique(stats.issue_N[stats.flagged_N].astype(str), return_counts=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "noisyclean_version": __version__,
        "verdict": verdict_sentence(len(table), stats),
        "num_images": len(table),
        "num_quarantined": num_quarantined,
        "num_flagged": int(stats.flagged_N.sum()),
        "issues": {str(name): int(count) for name, count in zip(issues, counts, strict=True)},
        "classes": [
            {"name": name, "num_images": int(given), "num_flagged": int(flagged)}
            for name, given, flagged in zip(table.classes, given_C, flagged_C, strict=True)
        ],
        "noise_rate": {"estimate": stats.noise.rate, "low": stats.noise.low, "high": stats.noise.high},
        "transition_matrix": np.round(stats.noise.transition_CC, 6).tolist(),
        "thresholds": dict(stats.thresholds),
        "notes": [*stats.notes, *notes],
        "input": dict(inputs),
        "plan": dict(plan),
        "stages": {name: dict(values) for name, values in stages.items()},
    }
