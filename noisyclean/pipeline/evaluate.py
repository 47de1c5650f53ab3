"""``evaluate``: a finished audit against the true labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import read_json
from noisyclean.data.columns import choose_columns
from noisyclean.data.tables import read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.ops.metrics import detection_metrics, expected_calibration_error
from noisyclean.pipeline.rundir import read_run

__all__ = ["evaluate", "true_labels"]

SCHEMA_VERSION = 1


def evaluate(run: str | Path, *, truth: str | Path) -> dict[str, Any]:
    """Compare a run's scores with the true labels.

    Args:
        run: A finished audit.
        truth: Table with a path and the true label of each image; paths as the audit's table gave them.

    Returns:
        ``auroc``, ``average_precision``, ``precision_at_k``, ``recall_at_k``, ``f1`` and ``num_flagged`` at the chosen
        threshold, ``noise_rate_true``, ``noise_rate_estimated``, ``transition_error`` (mean absolute difference of the
        rows, off the diagonal and on it), ``suggestion_accuracy`` on the wrong ones, ``ece``.

    Raises:
        UsageError: The run is not finished.
        DataError: Truth lacks images of the run.
    """
    root = read_run(Path(run)).root
    if not (root / "scores.csv").exists():
        raise UsageError(f"{root}: the audit is not finished", hint="Run the same audit command again; it continues.")
    scores = pd.read_csv(root / "scores.csv", dtype=str, keep_default_na=False, encoding="utf-8")
    scores = scores[scores["p_mislabeled"] != ""]
    summary = read_json(root / "summary.json")
    true_label = true_labels(scores["image_path"], Path(truth))
    given, suggested = scores["given_label"].to_numpy(), scores["suggested_label"].to_numpy()
    is_wrong_N = given != true_label
    p_N = scores["p_mislabeled"].astype(float).to_numpy()
    flagged_N = (scores["flagged"] == "true").to_numpy()
    ranking = detection_metrics(p_N, is_wrong_N)
    hits = int((flagged_N & is_wrong_N).sum())
    return {
        "schema_version": SCHEMA_VERSION,
        "num_images": len(scores),
        **ranking,
        "recall_at_k": ranking["precision_at_k"],
        "num_flagged": int(flagged_N.sum()),
        "precision": hits / max(int(flagged_N.sum()), 1),
        "recall": hits / max(int(is_wrong_N.sum()), 1),
        "f1": 2 * hits / max(int(flagged_N.sum() + is_wrong_N.sum()), 1),
        "noise_rate_true": float(is_wrong_N.mean()),
        "noise_rate_estimated": summary["noise_rate"]["estimate"],
        "transition_error": _transition_error(given, true_label, summary),
        "suggestion_accuracy": float((suggested == true_label)[is_wrong_N].mean()) if is_wrong_N.any() else None,
        "ece": expected_calibration_error(p_N, is_wrong_N),
    }


def true_labels(paths: pd.Series, truth: Path) -> np.ndarray:
    """The label that a table of truth gives each path, shape (N,).

    Raises:
        DataError: It lacks some of them.
    """
    table = read_table(truth)
    columns = choose_columns(table)
    by_path = dict(zip(table.frame[columns.image], table.frame[columns.label], strict=True))
    missing = [path for path in paths if path not in by_path]
    if missing:
        raise DataError(
            f"{truth}: has no row for {len(missing):,} of the {len(paths):,} audited images, {missing[0]!r} among them",
            hint="Truth must name the images as the audited table did.",
        )
    return np.asarray([by_path[path].strip() for path in paths], dtype=object)


def _transition_error(given: np.ndarray, true_label: np.ndarray, summary: dict[str, Any]) -> float:
    """Mean absolute difference between the estimated rows and the observed ones."""
    names = [row["name"] for row in summary["classes"]]
    observed = pd.crosstab(given, true_label, normalize="index").reindex(index=names, columns=names, fill_value=0.0)
    estimated = np.asarray(summary["transition_matrix"])
    return float(np.abs(observed.to_numpy() - estimated).mean())
