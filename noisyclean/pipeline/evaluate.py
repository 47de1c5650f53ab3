"""``evaluate``: a finished audit against the true labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import write_text
from noisyclean.base.log import Reporter, Silent
from noisyclean.data.annotations import order_classes
from noisyclean.data.columns import choose_columns, clean_labels
from noisyclean.data.encodings import LAST_GUESS
from noisyclean.data.ingest import IngestOptions, as_far_as_in
from noisyclean.data.tables import TextTable, read_table
from noisyclean.errors import DataError
from noisyclean.ops.metrics import detection_metrics, expected_calibration_error, precision_recall_at
from noisyclean.pipeline.finished import open_finished
from noisyclean.types import BoolArray, FloatArray

__all__ = ["evaluate", "figure_rows", "true_labels"]

SCHEMA_VERSION = 1
PICTURES = "evaluation"
"""Folder of the pictures, in the run."""


def evaluate(
    run: str | Path, *, truth: str | Path, plots: bool = False, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Compare a run's scores with the true labels.

    Args:
        run: A finished audit.
        truth: Table with a path and the true label of each image; paths as the audit's table gave them.
        plots: Also draw pictures into ``RUN/evaluation/``: ``index.html`` shows them all, and each is an SVG file. What
            an earlier call drew is replaced.
        reporter: Hears about doubts.

    Returns:
        ``auroc``, ``average_precision``, ``precision_at_k`` and ``recall_at_k`` for k = the number of wrong labels,
        ``precision``, ``recall``, ``f1`` and ``num_flagged`` at the chosen threshold, ``noise_rate_true``,
        ``noise_rate_estimated`` and ``noise_rate_error``, their difference, ``transition_error`` (mean absolute
        difference of the rows of classes that have images, off the diagonal and on it), ``suggestion_accuracy`` on the
        wrong ones, ``ece``, ``top`` (precision and recall of the first 10, 30, 100, ... images), ``signal_auroc`` of
        every signal by itself, and ``plots``, the page, where it was asked for.

    Raises:
        UsageError: The run is no audit, or not finished.
        DataError: Truth lacks images of the run, or has none of its classes.
    """
    finished = open_finished(Path(run))
    root, summary, scores = finished.root, finished.summary, finished.scores
    scores = scores[scores["p_mislabeled"] != ""]
    true_label = true_labels(scores["image_path"], Path(truth), finished.options)
    _compare_classes(Path(truth), true_label, finished.classes, reporter or Silent())
    given, suggested = scores["given_label"].to_numpy(), scores["suggested_label"].to_numpy()
    is_wrong_N = given != true_label
    p_N = scores["p_mislabeled"].astype(float).to_numpy()
    flagged_N = (scores["flagged"] == "true").to_numpy()
    true_CC = _true_transition(given, true_label, summary)
    estimated_CC = np.asarray(summary["transition_matrix"])
    is_given_C = np.asarray([row["num_images"] > 0 for row in summary["classes"]])
    rates = float(is_wrong_N.mean()), summary["noise_rate"]["estimate"]
    figures = {
        "schema_version": SCHEMA_VERSION,
        "num_images": len(scores),
        **_of_ranking(p_N, is_wrong_N, flagged_N),
        "noise_rate_true": rates[0],
        "noise_rate_estimated": rates[1],
        "noise_rate_error": rates[1] - rates[0],
        "transition_error": float(np.abs(true_CC - estimated_CC)[is_given_C].mean()),
        "suggestion_accuracy": float((suggested == true_label)[is_wrong_N].mean()) if is_wrong_N.any() else None,
        "ece": expected_calibration_error(p_N, is_wrong_N),
        "top": _top(p_N, is_wrong_N),
        "signal_auroc": _signal_auroc(scores, is_wrong_N),
    }
    if plots:
        from noisyclean.report.evaluation import Compared

        compared = Compared(
            classes=tuple(row["name"] for row in summary["classes"]),
            p_N=p_N,
            is_wrong_N=is_wrong_N,
            flagged_N=flagged_N,
            is_given_C=is_given_C,
            true_CC=true_CC,
            estimated_CC=estimated_CC,
            loss_EN=_losses(root, summary, scores),
        )
        figures["plots"] = str(_draw(root / PICTURES, compared, figures))
    return figures


def figure_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures as people read them: name and value."""
    rows = [
        (name.replace("_", " "), _as_text(value))
        for name, value in figures.items()
        if name != "schema_version" and not isinstance(value, str | list | dict)
    ]
    rows += [
        (f"precision, recall of the first {row['k']:,}", f"{_as_text(row['precision'])}, {_as_text(row['recall'])}")
        for row in figures["top"]
    ]
    return rows + [(f"auroc of {name} alone", _as_text(value)) for name, value in figures["signal_auroc"].items()]


def true_labels(paths: pd.Series, truth: Path, like: IngestOptions | None = None) -> np.ndarray:
    """The label that a table of truth gives each path, shape (N,).

    Args:
        paths: As the audited table has them.
        truth: The table.
        like: How the audited table was read; truth is read so too, as far as it has such columns, but in its own
            encoding where that shows.

    Raises:
        DataError: It lacks some of them.
    """
    like = like or IngestOptions()
    for table in _readings(truth, like.encoding):
        known = as_far_as_in(table, like)
        columns = choose_columns(table, image=known.image_column, label=known.label_column)
        by_path = dict(zip(table.frame[columns.image], clean_labels(table.frame[columns.label]), strict=True))
        missing = [path for path in paths if path not in by_path]
        if not missing:
            break
    if missing:
        raise DataError(
            f"{truth}: has no row for {len(missing):,} of the {len(paths):,} audited images, {missing[0]!r} among them",
            hint="Truth must name the images as the audited table did.",
        )
    return np.asarray([by_path[path] for path in paths], dtype=object)


def _readings(truth: Path, encoding: str | None) -> Iterator[TextTable]:
    """The table of truth as it shows itself to be; before a mere guess as the audited table was read."""
    table = read_table(truth)
    if encoding is not None and table.encoding.codec == LAST_GUESS:
        with suppress(DataError):
            yield read_table(truth, encoding=encoding)
    yield table


def _compare_classes(truth: Path, true_label: np.ndarray, classes: tuple[str, ...], reporter: Reporter) -> None:
    """Doubt a truth that is mostly of other classes than the run, and refuse one that has none of them.

    Raises:
        DataError: No class is in both.
    """
    others = order_classes(true_label.tolist())
    if set(others).isdisjoint(classes):
        raise DataError(
            f"{truth}: has none of the run's classes\nin it: {', '.join(others)}\nin the run: {', '.join(classes)}",
            hint="Truth must name the classes as the audited table did.",
        )
    share = float(np.isin(true_label, classes).mean())
    if share < 0.5:
        unknown = [name for name in others if name not in classes]
        reporter.warn(
            f"{truth}: {share:.0%} of its labels are of the run's classes; all others, such as {unknown[0]!r}, "
            "count as wrong labels that no suggestion can hit"
        )


def _of_ranking(p_N: FloatArray, is_wrong_N: BoolArray, flagged_N: BoolArray) -> dict[str, Any]:
    ranking = detection_metrics(p_N, is_wrong_N)
    hits = int((flagged_N & is_wrong_N).sum())
    return {
        **ranking,
        "recall_at_k": ranking["precision_at_k"],
        "num_flagged": int(flagged_N.sum()),
        "precision": hits / max(int(flagged_N.sum()), 1),
        "recall": hits / max(int(is_wrong_N.sum()), 1),
        "f1": 2 * hits / max(int(flagged_N.sum() + is_wrong_N.sum()), 1),
    }


def _top(p_N: FloatArray, is_wrong_N: BoolArray) -> list[dict[str, Any]]:
    """Precision and recall of the first k images, k = 10, 30, 100, 300 and so on."""
    steps = [first * 10**power for power in range(1, len(str(len(p_N)))) for first in (1, 3)]
    found = [(k, *precision_recall_at(p_N, is_wrong_N, k)) for k in steps if k < len(p_N)]
    return [{"k": k, "precision": precision, "recall": recall} for k, precision, recall in found]


def _signal_auroc(scores: pd.DataFrame, is_wrong_N: BoolArray) -> dict[str, float | None]:
    """How well each signal ranks by itself; its columns come after ``flagged``."""
    names = list(scores.columns[list(scores.columns).index("flagged") + 1 :])
    return {name: detection_metrics(scores[name].astype(float).to_numpy(), is_wrong_N)["auroc"] for name in names}


def _true_transition(given: np.ndarray, true_label: np.ndarray, summary: dict[str, Any]) -> FloatArray:
    """Share of each given class that is truly of another, shape (C, C)."""
    names = [row["name"] for row in summary["classes"]]
    observed = pd.crosstab(given, true_label, normalize="index").reindex(index=names, columns=names, fill_value=0.0)
    return observed.to_numpy()


def _losses(root: Path, summary: dict[str, Any], scores: pd.DataFrame) -> FloatArray | None:
    """Recorded losses of the first net, (E, N); without a training, one row of losses under the pooled opinion."""
    record = root / "train-probe" / "net-0.npz"
    if "train-probe" in summary["stages"] and record.exists():
        loss_EN: FloatArray = np.load(record, allow_pickle=False)["loss_EN"]
        return loss_EN if loss_EN.shape[1] == len(scores) else None
    if not (root / "pred_probs.npz").exists():
        return None
    stored = np.load(root / "pred_probs.npz", allow_pickle=False)
    if stored["image_path"].tolist() != scores["image_path"].tolist():
        return None
    column = {name: index for index, name in enumerate(stored["classes"].tolist())}
    given_N = [column[label] for label in scores["given_label"]]
    loss_N: FloatArray = -np.log(np.maximum(stored["p_NC"][np.arange(len(scores)), given_N], 1e-12))
    return loss_N[None]


def _draw(folder: Path, compared: Any, figures: dict[str, Any]) -> Path:
    from noisyclean.report.evaluation import draw_pictures, evaluation_page

    pictures = draw_pictures(compared)
    for picture in pictures:
        write_text(folder / f"{picture.name}.svg", picture.svg)
    title = f"{folder.parent.name} against the truth"
    write_text(folder / "index.html", evaluation_page(title, figure_rows(figures), pictures))
    return folder / "index.html"


def _as_text(value: float | int | None) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
