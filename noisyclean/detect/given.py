"""Evidence from arrays that somebody else made: embeddings, class probabilities, or both."""

from __future__ import annotations

import numpy as np
import torch

from noisyclean.base.wording import shortened
from noisyclean.detect.outside import ask_outside
from noisyclean.errors import DataError, UsageError
from noisyclean.ops.chance import LEAST_LABELS, fits_beyond_chance
from noisyclean.ops.pooling import margins
from noisyclean.types import Evidence, FloatArray, IntArray

__all__ = ["evidence_of_arrays", "require_column_for_each"]

SMALLEST = 1e-6
"""Added to probabilities: a model that counts votes writes zeros it does not mean."""
MOST_OFF = 0.02
"""By how much a row of probabilities may miss a sum of 1, as float16 does."""


def evidence_of_arrays(
    label_N: IntArray,
    *,
    classes: tuple[str, ...],
    embeddings: FloatArray | None = None,
    pred_probs: FloatArray | None = None,
    group_N: IntArray | None = None,
    disagreement_N: FloatArray | None = None,
) -> Evidence:
    """Check the arrays and turn them into evidence.

    Embeddings are asked about every label by a classifier that left the sample and its group out; probabilities are
    taken as what nets say, with one recording of loss and margin.

    Args:
        label_N: Given class indices.
        classes: Class names in the order of the indices.
        embeddings: Shape (N, D); standard deviations of 1e-6 and less count as none.
        pred_probs: Shape (N, C), rows sum to 1.
        group_N: Samples of one group say nothing of each other's labels.
        disagreement_N: Share of each image's annotations that are not its label.

    Raises:
        UsageError: There is no array.
        DataError: An array has another shape, holds what is no number, or agrees with the labels no more than chance.
    """
    if embeddings is None and pred_probs is None:
        raise UsageError("nothing to judge the labels by", hint="Give embeddings, pred_probs or both.")
    log_p_NC = None if pred_probs is None else _log_probabilities(pred_probs, label_N, classes)
    z_ND = None if embeddings is None else _matrix("embeddings", embeddings, len(label_N))
    outside_log_p_NC = None if z_ND is None else _ask(z_ND, label_N, group_N, classes)
    margin_N = None if log_p_NC is None else margins(log_p_NC.astype(np.float64), label_N)
    return Evidence(
        label_N=label_N,
        num_classes=len(classes),
        z_ND=None if z_ND is None else z_ND / np.maximum(np.linalg.norm(z_ND, axis=1, keepdims=True), 1e-12),
        log_p_NC=log_p_NC,
        outside_log_p_NC=outside_log_p_NC,
        loss_EN=None if log_p_NC is None else -log_p_NC[np.arange(len(label_N)), label_N][None],
        margin_EN=None if margin_N is None else margin_N[None],
        net_E=None if margin_N is None else np.zeros(1, dtype=np.int64),
        group_N=group_N,
        disagreement_N=disagreement_N,
    )


def _matrix(name: str, values: FloatArray, num: int) -> FloatArray:
    """As float32, one row for each label, every value a number."""
    try:
        matrix = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: holds what is no number: {error}", hint="It must be an array of numbers.") from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise DataError(f"{name}: has the shape {matrix.shape}", hint="It must have a row for each label, and columns.")
    if len(matrix) != num:
        raise DataError(f"{name}: has {len(matrix):,} rows for {num:,} labels", hint="Give one row for each label.")
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise DataError(
            f"{name}: {len(bad):,} rows hold NaN or infinity, the first is row {bad[0]} (counted from 0)",
            hint="Leave these images out, or compute them again.",
        )
    if len(matrix) > 1 and (matrix == matrix[0]).all():
        raise DataError(
            f"{name}: all {len(matrix):,} rows are the same and tell nothing of the images", hint="Compute them again."
        )
    return matrix


def require_column_for_each(classes: tuple[str, ...], pred_probs: FloatArray) -> None:
    """Refuse probabilities that are not a matrix with a column for each class.

    Raises:
        DataError: They have another shape.
    """
    if pred_probs.ndim != 2 or pred_probs.shape[1] != len(classes):
        columns = f"{pred_probs.shape[1]} columns" if pred_probs.ndim == 2 else f"the shape {pred_probs.shape}"
        raise DataError(f"pred_probs: has {columns} for {len(classes)} classes", hint=_order(classes))


def _order(classes: tuple[str, ...]) -> str:
    return f"Its columns are the classes in this order: {shortened(classes)}."


def _log_probabilities(pred_probs: FloatArray, label_N: IntArray, classes: tuple[str, ...]) -> FloatArray:
    p_NC = _matrix("pred_probs", pred_probs, len(label_N)).astype(np.float64)
    require_column_for_each(classes, p_NC)
    off_N = np.abs(p_NC.sum(axis=1) - 1)
    bad = np.flatnonzero((off_N > MOST_OFF) | (p_NC.min(axis=1) < 0))
    if len(bad):
        raise DataError(
            f"pred_probs: row {bad[0]} (counted from 0) sums to {p_NC[bad[0]].sum():.4g}, its least value is "
            f"{p_NC[bad[0]].min():.4g}",
            hint="Give probabilities: none below 0, each row with a sum of 1. Logits need a softmax first.",
        )
    p_NC = (p_NC + SMALLEST) / (p_NC + SMALLEST).sum(axis=1, keepdims=True)
    log_p_NC: FloatArray = np.log(p_NC).astype(np.float32)
    _require_fit("pred_probs", log_p_NC, label_N, _order(classes))
    return log_p_NC


def _ask(z_ND: FloatArray, label_N: IntArray, group_N: IntArray | None, classes: tuple[str, ...]) -> FloatArray:
    opinion = ask_outside(torch.from_numpy(z_ND), label_N, num_classes=len(classes), group_N=group_N)
    hint = "Its rows must be in the order of the labels, and tell something of what the images show."
    _require_fit("embeddings", opinion.log_p_NC, label_N, hint)
    return opinion.log_p_NC


def _require_fit(name: str, log_p_NC: FloatArray, label_N: IntArray, hint: str) -> None:
    """Arrays in another order would accuse every label."""
    if fits_beyond_chance(log_p_NC, label_N):
        return
    share, num = float(np.mean(log_p_NC.argmax(axis=1) == label_N)), len(label_N)
    why = f"{num} labels are too few to tell" if num < LEAST_LABELS else "its rows seem to be in another order"
    raise DataError(f"{name}: agrees with {share:.1%} of the labels, no more than chance; {why}", hint=hint)
