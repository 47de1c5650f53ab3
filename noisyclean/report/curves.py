"""Learning curves and calibration as SVG text, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from noisyclean.report.plots import CLEAN, FLAGGED, INK, to_svg

__all__ = ["learning_curves", "reliability_diagram"]

MOST_PANELS = 6
FEW_POINTS = 12
"""Of a curve: so many are also drawn as dots, because a line through one alone is invisible."""


def learning_curves(history: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Every figure over the epochs, one panel each.

    Args:
        history: Figures of every epoch, of each training by name; the first is the one that was asked for.
    """
    names = list(dict.fromkeys(name for epochs in history.values() for epoch in epochs for name in epoch))[:MOST_PANELS]
    num_rows = max(1, (len(names) + 2) // 3)
    figure = Figure(figsize=(9.0, 2.4 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, 3, squeeze=False).flatten()
    for name, axes in zip(names, panels, strict=False):
        for training, epochs in history.items():
            points = [(epoch, figures[name]) for epoch, figures in enumerate(epochs, start=1) if name in figures]
            marker = "o" if len(points) <= FEW_POINTS else ""
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.plot(xs, ys, label=training, linewidth=1.4, marker=marker, markersize=3)
        axes.set(title=name, xlabel="epoch")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    if len(history) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return to_svg(figure)


def reliability_diagram(
    bins: Sequence[Sequence[float]],
    *,
    xlabel: str = "probability of the prediction",
    ylabel: str = "share that is right",
) -> str:
    """How often something is so against how sure it is said to be so; larger dots are more images.

    Args:
        bins: Count, mean stated probability and observed share of each bin.
        xlabel: What is stated.
        ylabel: What is observed.
    """
    figure = Figure(figsize=(3.6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    most = max((row[0] for row in bins), default=1)
    sizes = [12 + 90 * row[0] / most for row in bins]
    axes.plot([row[1] for row in bins], [row[2] for row in bins], color=CLEAN, linewidth=1.2)
    axes.scatter([row[1] for row in bins], [row[2] for row in bins], s=sizes, color=FLAGGED, zorder=3)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel=xlabel, ylabel=ylabel)
    return to_svg(figure)
