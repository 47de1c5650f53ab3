"""``score_labels``: labels judged by arrays alone; no images, no run directory, no files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from noisyclean.config import ScoreConfig
from noisyclean.data.annotations import order_classes
from noisyclean.data.groups import number_groups, refuse_one_group
from noisyclean.detect.fuse import fuse
from noisyclean.detect.given import evidence_of_arrays
from noisyclean.detect.neighbours import with_votes
from noisyclean.errors import DataError
from noisyclean.pipeline.detecting import apply_signals
from noisyclean.types import FloatArray, IntArray, SampleStats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["score_labels"]


def score_labels(
    labels: Sequence[Any] | ArrayLike | pd.Series,
    embeddings: ArrayLike | None = None,
    pred_probs: ArrayLike | None = None,
    groups: Sequence[Any] | ArrayLike | pd.Series | None = None,
) -> pd.DataFrame:
    """Judge labels by features or probabilities you have; nothing is trained, read or written.

    Embeddings alone are enough: a closed-form classifier is asked about every label it was fitted without.
    Probabilities should be out of sample (cross-validated): a model that has memorised a wrong label agrees with it.

    Args:
        labels: N labels, all of them text or all of them integers.
        embeddings: Features, shape (N, D), that the labels had no part in; standard deviations of 1e-6 and less
            count as none.
        pred_probs: Class probabilities, shape (N, C); columns are the classes that occur, sorted (numerically when all
            are integers).
        groups: N names of groups (patient, part, burst); one group's embeddings say nothing of each other's labels. A
            missing value is a group of its own.

    Returns:
        One row for each label, in their order, with the index of ``labels`` if that is a Series: ``given_label``,
        ``suggested_label``, ``p_mislabeled``, ``p_suggested``, ``issue_type``, ``flagged``, ``reason``, and one
        column for each signal, in [0, 1]. The estimated noise rate with its interval is in ``attrs["noise_rate"]``.

    Raises:
        UsageError: Neither embeddings nor probabilities.
        DataError: Arrays that do not fit the labels, hold NaN, or agree with them no more than chance; one class only.
    """
    names, given = _names(labels)
    classes = order_classes(names.tolist())
    if len(classes) < 2:
        raise DataError(f"labels: only one class ({', '.join(classes) or 'none'}): there is nothing to confuse")
    label_N: IntArray = pd.Index(classes).get_indexer(pd.Index(names)).astype(np.int64)
    evidence = evidence_of_arrays(
        label_N,
        classes=classes,
        embeddings=_numbers(embeddings),
        pred_probs=_numbers(pred_probs),
        group_N=None if groups is None else _group_numbers(groups, len(label_N)),
    )
    device = torch.device("cpu")
    evidence = with_votes(evidence, num_neighbours=ScoreConfig().num_neighbours, device=device)
    stats = fuse(evidence, apply_signals(evidence, device=device), classes=classes)
    frame = _as_frame(stats, given, classes)
    if isinstance(labels, pd.Series):
        frame.index = labels.index
    return frame


def _as_frame(stats: SampleStats, given: pd.Series, classes: tuple[str, ...]) -> pd.DataFrame:
    suggested = np.asarray(classes, dtype=object)[stats.suggestion_N]
    frame = pd.DataFrame(
        {
            "given_label": given,
            "suggested_label": suggested if given.dtype == object else suggested.astype(np.int64),
            "p_mislabeled": stats.p_mislabeled_N,
            "p_suggested": stats.p_suggested_N,
            "issue_type": stats.issue_N,
            "flagged": stats.flagged_N,
            "reason": stats.reason_N,
            **{name: score.suspicion_N for name, score in stats.signals.items()},
        }
    )
    frame.attrs["noise_rate"] = {
        "estimate": float(stats.noise.rate),
        "low": float(stats.noise.low),
        "high": float(stats.noise.high),
    }
    return frame


def _names(labels: Sequence[Any] | ArrayLike | pd.Series) -> tuple[pd.Series, pd.Series]:
    """Labels as class names, and as they are: text, or whole numbers."""
    given = pd.Series(np.asarray(labels, dtype=object), dtype=object) if np.ndim(labels) == 1 else None
    if given is None or given.empty:
        raise DataError(f"labels: has the shape {np.shape(labels)}", hint="Give one label for each row.")
    for kind in (str, (int, np.integer)):
        is_kind = given.map(lambda value, kind=kind: isinstance(value, kind) and not isinstance(value, bool))
        if is_kind.all():
            return given.astype(str).astype(object), given if kind is str else given.astype(np.int64)
        if is_kind.any():
            odd = int(np.flatnonzero(~is_kind)[0])
            break
    else:
        odd = 0
    raise DataError(
        f"labels: {given[odd]!r} in row {odd} (counted from 0) is a {type(given[odd]).__name__}",
        hint="All labels must be text, or all of them integers.",
    )


def _numbers(values: ArrayLike | None) -> FloatArray | None:
    return None if values is None else np.asarray(values)


def _group_numbers(groups: Sequence[Any] | ArrayLike | pd.Series, num: int) -> IntArray:
    if np.shape(groups) != (num,):
        raise DataError(f"groups: has the shape {np.shape(groups)} for {num:,} labels", hint="Give one for each label.")
    number_N = number_groups(pd.Series(np.asarray(groups, dtype=object)))
    refuse_one_group(number_N, "groups", hint="Leave it out.")
    return number_N
