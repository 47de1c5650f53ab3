"""How good a ranking, a probability and a suggestion are, against truth."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from noisyclean.types import BoolArray, FloatArray

__all__ = ["detection_metrics", "expected_calibration_error"]


def detection_metrics(score_N: FloatArray, is_wrong_N: BoolArray) -> dict[str, float | None]:
    """Ranking quality; None where there is nothing to rank (no wrong label, or only wrong ones).

    Args:
        score_N: Higher is worse.
        is_wrong_N: Which labels are wrong.

    Returns:
        ``auroc``, ``average_precision``, and ``precision_at_k`` (equal to the recall at k) for k = the number of wrong
        labels, equals taken in table order.
    """
    num_wrong = int(is_wrong_N.sum())
    if num_wrong in (0, len(is_wrong_N)):
        return {"auroc": None, "average_precision": None, "precision_at_k": None}
    top = np.argsort(-score_N, kind="stable")[:num_wrong]
    return {
        "auroc": float(roc_auc_score(is_wrong_N, score_N)),
        "average_precision": float(average_precision_score(is_wrong_N, score_N)),
        "precision_at_k": float(is_wrong_N[top].mean()),
    }


def expected_calibration_error(p_N: FloatArray, is_true_N: BoolArray, *, num_bins: int = 15) -> float:
    """Mean gap between stated probability and observed share over equally wide bins (https://arxiv.org/abs/1706.04599)."""
    bin_N = np.minimum((p_N * num_bins).astype(np.int64), num_bins - 1)
    total = np.bincount(bin_N, minlength=num_bins)
    stated = np.bincount(bin_N, weights=p_N, minlength=num_bins)
    observed = np.bincount(bin_N, weights=is_true_N.astype(np.float64), minlength=num_bins)
    return float(np.abs(stated - observed).sum() / max(total.sum(), 1))
