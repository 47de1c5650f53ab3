"""Classes, and pairs of classes, that the images do not tell apart: advice is due there, not accusations.

Asked of the classifier that left each image out, so that what nets have memorised does not count as recognised; the
nets may still save a class that whitened patches are too weak for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.stats import rankdata

from noisyclean.ops.chance import fits_beyond_chance
from noisyclean.types import NOT_RECOGNISABLE, BoolArray, Evidence, FloatArray, IntArray, SampleStats

__all__ = ["AMBIGUOUS", "settle_unrecognised"]

AMBIGUOUS = "ambiguous"
SURE = 2.0
"""Standard errors above one half from which an area under the curve shows something."""
LEAST_IMAGES = 5
RECALL_OF_NETS = 0.5
"""Share of a class's images on which the pooled opinion must agree for the nets to save it."""


def settle_unrecognised(stats: SampleStats, evidence: Evidence, classes: tuple[str, ...]) -> SampleStats:
    """Take back the accusations of classes nobody recognises, and call confusions of look-alike classes ambiguous.

    Where nothing is recognised at all, none is left, and the noise rate may be any.

    Args:
        stats: The fused verdict.
        evidence: With ``outside_log_p_NC``; without it nothing changes.
        classes: Names of the classes.
    """
    if evidence.outside_log_p_NC is None:
        return stats
    outside_NC = np.asarray(evidence.outside_log_p_NC, dtype=np.float64)
    if _nothing_is_recognised(evidence, outside_NC):
        return _without_accusations(stats)
    issue_N, flagged_N, reason_N = stats.issue_N.copy(), stats.flagged_N.copy(), stats.reason_N.copy()
    notes = list(stats.notes)
    for given in _unrecognised(outside_NC, stats.p_NC, evidence.label_N, len(classes)):
        rows = flagged_N & (evidence.label_N == given)
        issue_N[rows], flagged_N[rows], reason_N[rows] = NOT_RECOGNISABLE, False, ""
        notes.append(
            f"{classes[given]}: not recognisable: a classifier cannot tell its images from the others, so none of its "
            "labels is doubted; try a larger --size, or --init pretrained:NAME"
        )
    for first, second in _look_alikes(outside_NC, stats, evidence.label_N, flagged_N):
        rows = flagged_N & _is_pair(evidence.label_N, stats.suggestion_N, first, second)
        issue_N[rows] = AMBIGUOUS
        reason_N[rows] = f"{classes[first]} and {classes[second]} can hardly be told apart here"
        notes.append(
            f"{classes[first]} and {classes[second]}: ambiguous: a classifier cannot tell unseen images of them apart"
        )
    return replace(stats, issue_N=issue_N, flagged_N=flagged_N, reason_N=reason_N, notes=tuple(notes))


def _nothing_is_recognised(evidence: Evidence, outside_NC: FloatArray) -> bool:
    """Whether neither the left-out classifier nor, on images no net has learnt, the nets know better than chance."""
    if fits_beyond_chance(outside_NC, evidence.label_N):
        return False
    unseen_N = evidence.held_out_N
    if evidence.log_p_NC is None or unseen_N is None or not unseen_N.any():
        return True
    return not fits_beyond_chance(evidence.log_p_NC[unseen_N], evidence.label_N[unseen_N])


def _without_accusations(stats: SampleStats) -> SampleStats:
    note = (
        "no class is recognisable: a classifier knows the labels of images left out no better than chance, so none is "
        "doubted; try more images, a larger --size, or --init pretrained:NAME"
    )
    return replace(
        stats,
        issue_N=np.where(stats.flagged_N, NOT_RECOGNISABLE, stats.issue_N),
        flagged_N=np.zeros_like(stats.flagged_N),
        reason_N=np.where(stats.flagged_N, "", stats.reason_N),
        noise=replace(stats.noise, low=0.0, high=1.0),
        notes=(*stats.notes, note),
    )


def _unrecognised(outside_NC: FloatArray, p_NC: FloatArray, label_N: IntArray, num_classes: int) -> Iterator[int]:
    pooled_N = p_NC.argmax(axis=1)
    for given in range(num_classes):
        own_N = label_N == given
        if own_N.sum() < LEAST_IMAGES or own_N.all():
            continue
        is_kept = (pooled_N[own_N] == given).mean() >= RECALL_OF_NETS
        if not is_kept and not _tells_apart(outside_NC[:, given], own_N):
            yield given


def _look_alikes(
    outside_NC: FloatArray, stats: SampleStats, label_N: IntArray, flagged_N: BoolArray
) -> Iterator[tuple[int, int]]:
    """Pairs that flags confuse and that the left-out classifier does not tell apart."""
    confused = np.stack([label_N[flagged_N], stats.suggestion_N[flagged_N]], axis=1)
    ends_C = np.bincount(label_N, minlength=outside_NC.shape[1]).cumsum()
    rows_of = np.split(np.argsort(label_N, kind="stable"), ends_C[:-1])
    for first, second in np.unique(np.sort(confused, axis=1), axis=0):
        num_first, num_second = len(rows_of[first]), len(rows_of[second])
        if min(num_first, num_second) < LEAST_IMAGES:
            continue
        row_M = np.concatenate([rows_of[first], rows_of[second]])
        if not _tells_apart(outside_NC[row_M, first] - outside_NC[row_M, second], np.arange(len(row_M)) < num_first):
            yield int(first), int(second)


def _is_pair(label_N: IntArray, suggestion_N: IntArray, first: int, second: int) -> BoolArray:
    forth = (label_N == first) & (suggestion_N == second)
    back = (label_N == second) & (suggestion_N == first)
    both: BoolArray = forth | back
    return both


def _tells_apart(score_M: FloatArray, is_own_M: BoolArray) -> bool:
    """Whether the score is higher on its own samples than chance explains (Mann and Whitney's test)."""
    num_own, num = int(is_own_M.sum()), len(is_own_M)
    num_other = num - num_own
    area = (rankdata(score_M)[is_own_M].sum() - num_own * (num_own + 1) / 2) / (num_own * num_other)
    error = np.sqrt((num + 1) / (12 * num_own * num_other))
    return bool(area > 0.5 + SURE * error)
