"""How good a ranking, a probability and a suggestion are, against truth."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = [
    "class_table",
    "detection_metrics",
    "expected_calibration_error",
    "precision_recall_at",
    "reliability_bins",
    "share_interval",
]


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
    return {
        "auroc": float(roc_auc_score(is_wrong_N, score_N)),
        "average_precision": float(average_precision_score(is_wrong_N, score_N)),
        "precision_at_k": precision_recall_at(score_N, is_wrong_N, num_wrong)[0],
    }


def precision_recall_at(score_N: FloatArray, is_wrong_N: BoolArray, k: int) -> tuple[float, float | None]:
    """Share of the k highest scores that is wrong, and share of the wrong ones that is among them.

    Args:
        score_N: Higher is worse; equals in table order.
        is_wrong_N: Which labels are wrong.
        k: In [1, N].

    Returns:
        Precision and recall; no recall where nothing is wrong.
    """
    hits = int(is_wrong_N[np.argsort(-score_N, kind="stable")[:k]].sum())
    num_wrong = int(is_wrong_N.sum())
    return hits / k, hits / num_wrong if num_wrong else None


def expected_calibration_error(p_N: FloatArray, is_true_N: BoolArray, *, num_bins: int = 15) -> float:
    """Mean gap between stated probability and observed share over equally wide bins (https://arxiv.org/abs/1706.04599)."""
    bins = reliability_bins(p_N, is_true_N, num_bins=num_bins)
    return sum(num * abs(stated - observed) for num, stated, observed in bins) / max(len(p_N), 1)


def reliability_bins(p_N: FloatArray, is_true_N: BoolArray, *, num_bins: int = 15) -> list[tuple[int, float, float]]:
    """Count, mean stated probability and observed share of every equally wide bin that is not empty."""
    bin_N = np.minimum((p_N * num_bins).astype(np.int64), num_bins - 1)
    total = np.bincount(bin_N, minlength=num_bins)
    stated = np.bincount(bin_N, weights=p_N, minlength=num_bins)
    observed = np.bincount(bin_N, weights=is_true_N.astype(np.float64), minlength=num_bins)
    return [
        (int(total[b]), float(stated[b] / total[b]), float(observed[b] / total[b])) for b in range(num_bins) if total[b]
    ]


def share_interval(num_hits: int, num: int) -> tuple[float, float]:
    """95 % interval of a share, Wilson's: inside [0, 1] also where all or nothing hit."""
    z = 1.959964
    centre = (num_hits + z * z / 2) / (num + z * z)
    reach = z * (num_hits * (num - num_hits) / num + z * z / 4) ** 0.5 / (num + z * z)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def class_table(predicted_N: IntArray, label_N: IntArray, num_classes: int) -> list[dict[str, float | int | None]]:
    """Of each class: how many there are, the share that is recognised, and the share of its predictions that is right.

    Args:
        predicted_N: Predicted classes.
        label_N: True classes; others than [0, C) count for no class.
        num_classes: C.
    """
    hit_M = label_N[label_N == predicted_N]
    counts = (_counts(index, num_classes) for index in (hit_M, label_N, predicted_N))
    return [
        {"num_images": num, "recall": hits / num if num else None, "precision": hits / said if said else None}
        for hits, num, said in zip(*counts, strict=True)
    ]


def _counts(index_N: IntArray, num_classes: int) -> list[int]:
    """How often each class occurs; what is no class is left out."""
    is_class_N = (index_N >= 0) & (index_N < num_classes)
    counts: list[int] = np.bincount(index_N[is_class_N], minlength=num_classes).tolist()
    return counts
