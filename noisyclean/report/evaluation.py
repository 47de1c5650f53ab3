"""Pictures of an audit against the truth, and the page that shows them all.

Losses of right and wrong labels and what they tell over the training are C2D's analysis
(https://arxiv.org/abs/2103.13646, section 4): wrong labels are learned late, and the losses tell them apart until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from noisyclean.ops.metrics import reliability_bins
from noisyclean.report.curves import reliability_diagram
from noisyclean.report.page import fill_template
from noisyclean.report.plots import CLEAN, FLAGGED, INK, split_histogram, to_svg, transition_heat_map
from noisyclean.types import BoolArray, FloatArray

__all__ = ["Compared", "Picture", "draw_pictures", "evaluation_page"]

MOST_POINTS = 1_500
"""Points of a curve; more cannot be seen."""
MOST_CLASSES = 40
GROUPS = ("label is right", "label is wrong")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was said of N labels, and what is true."""

    classes: tuple[str, ...]
    p_N: FloatArray
    """Stated probability that the label is wrong."""
    is_wrong_N: BoolArray
    flagged_N: BoolArray
    is_given_C: BoolArray
    """Which classes any image is given; nothing is known of the rows of the others."""
    true_CC: FloatArray
    """Share of a given class (row) that is truly of another (column)."""
    estimated_CC: FloatArray
    """The same as it was estimated."""
    loss_EN: FloatArray | None = None
    """Cross-entropy of each label after each recorded pass of one net."""


@dataclass(frozen=True)
class Picture:
    """One figure."""

    name: str
    """Of its file."""
    title: str
    legend: str
    """How to read it."""
    svg: str
    is_wide: bool = False
    """Whether it takes a whole row of the page."""


def draw_pictures(compared: Compared) -> list[Picture]:
    """All that can be drawn: rankings need a wrong label and a right one, losses a training that recorded them."""
    return [*_of_probabilities(compared), *_of_classes(compared), *_of_losses(compared)]


def evaluation_page(title: str, figures: list[tuple[str, str]], pictures: list[Picture]) -> str:
    """One self-contained page.

    Args:
        title: Shown on top.
        figures: Name and value of each figure.
        pictures: Shown below them.
    """
    shown = [replace(item, svg=Markup(item.svg)) for item in pictures]
    return fill_template("evaluation.html", title=title, figures=figures, pictures=shown)


def _of_probabilities(compared: Compared) -> Iterator[Picture]:
    p_N, is_wrong_N = compared.p_N, compared.is_wrong_N
    if is_wrong_N.any() and not is_wrong_N.all():
        legend = "The dot is what was flagged; the dashed line is chance."
        yield Picture("ranking", "Precision and recall; ROC", legend, _ranking(compared), is_wide=True)
    stated = "stated probability that the label is wrong"
    svg = reliability_diagram(reliability_bins(p_N, is_wrong_N), xlabel=stated, ylabel="share that is wrong")
    yield Picture("calibration", "Calibration", "On the dashed line what is stated is so.", svg)
    svg = split_histogram(p_N, is_wrong_N, names=GROUPS, xlabel=stated, num_bins=50, is_overlaid=True)
    yield Picture("probabilities", "Probabilities of right and wrong labels", "Counts are logarithmic.", svg)


def _of_classes(compared: Compared) -> Iterator[Picture]:
    is_error_CC = ~np.eye(len(compared.classes), dtype=bool)
    both = np.concatenate([compared.true_CC[is_error_CC], compared.estimated_CC[is_error_CC]])
    darkest = max(float(both.max(initial=0)), 0.02)
    legend = "Rows are given classes; both maps have one scale."
    for name, matrix_CC in (("true", compared.true_CC), ("estimated", compared.estimated_CC)):
        column = "true class" if name == "true" else "estimated true class"
        svg = transition_heat_map(matrix_CC, compared.classes, columns=column, darkest=darkest)
        yield Picture(f"transition-{name}", f"What given labels are: {name}", legend, svg)
    legend = "Share of the labels of each given class that is wrong."
    yield Picture("class-noise", "Noise rate by class", legend, _class_noise(compared))


def _of_losses(compared: Compared) -> Iterator[Picture]:
    if compared.loss_EN is None:
        return
    mean_N = compared.loss_EN.mean(axis=0, dtype=np.float64)
    scaled_N = (mean_N - mean_N.min()) / max(float(np.ptp(mean_N)), 1e-12)
    xlabel = "cross-entropy of the given label, mean over the training, scaled to [0, 1]"
    svg = split_histogram(scaled_N, compared.is_wrong_N, names=GROUPS, xlabel=xlabel, num_bins=100, is_overlaid=True)
    yield Picture("losses", "Losses of right and wrong labels", "The less they overlap, the easier the errors.", svg)
    if len(compared.loss_EN) > 1 and compared.is_wrong_N.any() and not compared.is_wrong_N.all():
        legend = "Median and quartiles of the losses after each recorded pass, and how well they rank the errors."
        yield Picture(
            "learning",
            "When labels are learned",
            legend,
            _learning(compared.loss_EN, compared.is_wrong_N),
            is_wide=True,
        )


def _ranking(compared: Compared) -> str:
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    is_wrong_N, flagged_N = compared.is_wrong_N, compared.flagged_N
    precision, recall, _ = precision_recall_curve(is_wrong_N, compared.p_N)
    false_rate, true_rate, _ = roc_curve(is_wrong_N, compared.p_N)
    _curve(left, recall, precision)
    _curve(right, false_rate, true_rate)
    left.axhline(float(is_wrong_N.mean()), color=INK, linewidth=0.8, linestyle="--")
    right.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    if flagged_N.any():
        found = float(flagged_N[is_wrong_N].mean())
        left.scatter([found], [float(is_wrong_N[flagged_N].mean())], color=FLAGGED, zorder=3)
        right.scatter([float(flagged_N[~is_wrong_N].mean())], [found], color=FLAGGED, zorder=3)
    left.set(xlabel="recall: share of the errors", ylabel="precision: share that is wrong")
    right.set(xlabel="share of the right labels", ylabel="share of the errors")
    return to_svg(figure)


def _curve(axes: Axes, x: FloatArray, y: FloatArray) -> None:
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(np.int64))
    axes.plot(x[some], y[some], color=CLEAN, linewidth=1.6)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))


def _class_noise(compared: Compared) -> str:
    true_C, estimated_C = 1 - np.diag(compared.true_CC), 1 - np.diag(compared.estimated_CC)
    noisiest = np.argsort(-true_C, kind="stable")
    shown = noisiest[compared.is_given_C[noisiest]][:MOST_CLASSES]
    names = [compared.classes[c] for c in shown]
    figure = Figure(figsize=(6.4, 1.2 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(shown))
    axes.barh(rows - 0.18, true_C[shown], height=0.34, color=FLAGGED, label="true")
    axes.barh(rows + 0.18, estimated_C[shown], height=0.34, color=CLEAN, label="estimated")
    axes.set_yticks(rows, names, parse_math=False)
    axes.invert_yaxis()
    num = int(compared.is_given_C.sum())
    few = f" (the noisiest {MOST_CLASSES} of {num} classes)" if num > MOST_CLASSES else ""
    axes.set(xlabel=f"share of wrong labels{few}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return to_svg(figure)


def _learning(loss_EN: FloatArray, is_wrong_N: BoolArray) -> str:
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(loss_EN) + 1)
    for mask_N, colour, name in ((~is_wrong_N, CLEAN, GROUPS[0]), (is_wrong_N, FLAGGED, GROUPS[1])):
        low, middle, high = np.quantile(loss_EN[:, mask_N], (0.25, 0.5, 0.75), axis=1)
        left.fill_between(epochs, low, high, color=colour, alpha=0.25, linewidth=0)
        left.plot(epochs, middle, color=colour, linewidth=1.6, label=name)
    left.set(xlabel="recorded pass", ylabel="cross-entropy of the given label (nats)")
    left.legend(frameon=False)
    right.plot(epochs, [roc_auc_score(is_wrong_N, loss_N) for loss_N in loss_EN], color=INK, linewidth=1.6)
    right.set(xlabel="recorded pass", ylabel="AUROC of the loss", ylim=(None, 1.005))
    return to_svg(figure)
