"""Figures of the report as SVG text, the same bytes for the same numbers."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from noisyclean.types import BoolArray, FloatArray

__all__ = ["CLEAN", "FLAGGED", "INK", "loss_histogram", "to_svg", "transition_heat_map"]

INK = "#1f2937"
CLEAN = "#2a9d8f"
FLAGGED = "#d1495b"
PAPER = "#ffffff"
DARK = 0.55
"""Share of the darkest cell from which on light text is easier to read."""
MOST_CLASSES_NAMED = 40


def transition_heat_map(transition_CC: FloatArray, classes: tuple[str, ...]) -> str:
    """Given class (row) against estimated true class (column); the diagonal is left pale so that errors show."""
    num = len(classes)
    side = float(np.clip(0.42 * num + 1.8, 3.6, 9.0))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    off_diagonal = np.where(np.eye(num, dtype=bool), np.nan, transition_CC)
    colours = mpl.colormaps["Reds"].with_extremes(bad="#f3f4f6")
    darkest = max(float(np.nanmax(off_diagonal)), 0.02)
    image = axes.imshow(off_diagonal, cmap=colours, vmin=0, vmax=darkest)
    if num <= MOST_CLASSES_NAMED:
        axes.set_xticks(range(num), classes, rotation=90, parse_math=False)
        axes.set_yticks(range(num), classes, parse_math=False)
    if num <= 12:
        _write_shares(transition_CC, axes, darkest)
    axes.set(xlabel="estimated true class", ylabel="given class")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the given class")
    return to_svg(figure)


def loss_histogram(loss_N: FloatArray, flagged_N: BoolArray) -> str:
    """Losses of flagged and of other images, log counts."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(float(loss_N.min()), float(max(loss_N.max(), loss_N.min() + 1e-6)), 81)
    axes.hist(
        [loss_N[~flagged_N], loss_N[flagged_N]],
        bins=edges.tolist(),
        stacked=True,
        color=[CLEAN, FLAGGED],
        label=["not flagged", "flagged"],
    )
    axes.set(xlabel="cross-entropy of the given label (nats)", ylabel="images", yscale="log")
    axes.legend(frameon=False)
    return to_svg(figure)


def _write_shares(transition_CC: FloatArray, axes: mpl.axes.Axes, darkest: float) -> None:
    for row, column in np.argwhere(transition_CC >= 0.005):
        share = transition_CC[row, column]
        ink = PAPER if row != column and share > DARK * darkest else INK
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=7, color=ink)


def to_svg(figure: Figure) -> str:
    """A figure as SVG text, without dates or random identifiers."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "noisyclean", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
