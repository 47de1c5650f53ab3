"""What is known for certain goes before what the evidence makes probable: verified labels, contradictions, blanks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from noisyclean.detect.fuse import transitions
from noisyclean.types import CONFLICT, BoolArray, FloatArray, IntArray, NoiseEstimate, SampleStats, StrArray

__all__ = ["OFF_TOPIC", "settle_blanks", "settle_conflicts", "settle_transitions", "settle_verified"]

OFF_TOPIC = "off-topic"
BLANK = 0.05
"""Contrast, in medians of all images, below which a picture shows nothing."""


def settle_conflicts(
    stats: SampleStats, label_N: IntArray, *, rival_N: IntArray, is_settled_N: BoolArray, reason_N: StrArray
) -> SampleStats:
    """Flag the rows whose picture has another label too.

    At least one label of such a picture is wrong; which one, the networks' probabilities of the two decide.

    Args:
        stats: The fused verdict.
        label_N: Given class indices.
        rival_N: The other label; -1 where there is none.
        is_settled_N: Where a reviewer has confirmed the other label: there the probability is 1.
        reason_N: Where the other label is, in words.
    """
    rows = np.flatnonzero(rival_N >= 0)
    given, rival = stats.p_NC[rows, label_N[rows]], stats.p_NC[rows, rival_N[rows]]
    p_wrong = np.where(is_settled_N[rows], 1.0, rival / np.maximum(given + rival, 1e-12))
    return _replace_rows(
        stats,
        rows,
        p_mislabeled_N=p_wrong,
        suggestion_N=rival_N[rows],
        p_suggested_N=np.minimum(rival, p_wrong),
        flagged_N=np.ones(len(rows), dtype=bool),
        issue_N=np.full(len(rows), CONFLICT, dtype=object),
        reason_N=reason_N[rows],
    )


def settle_blanks(stats: SampleStats, contrast_N: FloatArray) -> SampleStats:
    """Flag the pictures that show nothing: no label is right for them.

    Args:
        stats: The fused verdict.
        contrast_N: Standard deviation of each picture's pixels, in whatever unit.
    """
    median = float(np.median(contrast_N))
    rows = np.flatnonzero(contrast_N < BLANK * median)
    return _replace_rows(
        stats,
        rows,
        p_mislabeled_N=np.ones(len(rows)),
        flagged_N=np.ones(len(rows), dtype=bool),
        issue_N=np.full(len(rows), OFF_TOPIC, dtype=object),
        reason_N=np.asarray(
            [f"a blank picture: its contrast is {contrast_N[row] / median:.1%} of the median" for row in rows], object
        ),
    )


def settle_verified(stats: SampleStats, label_N: IntArray, verified_N: BoolArray) -> SampleStats:
    """Pin the labels a reviewer has confirmed or set: right, and never flagged.

    The estimated noise rate loses what these labels had contributed to it.

    Args:
        stats: The verdict so far.
        label_N: Given class indices.
        verified_N: Which labels are known to be right.
    """
    rows = np.flatnonzero(verified_N)
    pinned = _replace_rows(
        stats,
        rows,
        p_mislabeled_N=np.zeros(len(rows)),
        suggestion_N=label_N[rows],
        p_suggested_N=np.zeros(len(rows)),
        flagged_N=np.zeros(len(rows), dtype=bool),
        issue_N=np.full(len(rows), "", dtype=object),
        reason_N=np.full(len(rows), "", dtype=object),
    )
    return replace(pinned, noise=_lowered(stats.noise, float(stats.p_mislabeled_N[rows].sum() / len(label_N))))


def settle_transitions(stats: SampleStats, label_N: IntArray) -> SampleStats:
    """Count transitions anew, with all that is certain; pictures that show nothing have no class to be of.

    Args:
        stats: The verdict, with everything settled.
        label_N: Given class indices.
    """
    shown_N = stats.issue_N != OFF_TOPIC
    transition_CC = transitions(stats.p_NC[shown_N], label_N[shown_N], stats.p_mislabeled_N[shown_N])
    return replace(stats, noise=replace(stats.noise, transition_CC=transition_CC))


def _replace_rows(stats: SampleStats, rows: IntArray, **values: FloatArray | IntArray | StrArray) -> SampleStats:
    columns = {name: np.array(getattr(stats, name)) for name in values}
    for name, value in values.items():
        columns[name][rows] = value
    return replace(stats, **columns)  # type: ignore[arg-type]


def _lowered(noise: NoiseEstimate, by: float) -> NoiseEstimate:
    return replace(noise, rate=max(noise.rate - by, 0.0), low=max(noise.low - by, 0.0), high=max(noise.high - by, 0.0))
