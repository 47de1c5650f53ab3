"""Figures of the report as SVG text, the same bytes for the same numbers."""

from __future__ import annotations

import io
import warnings

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from noisyclean.types import BoolArray, FloatArray

__all__ = ["CLEAN", "FLAGGED", "INK", "loss_histogram", "split_histogram", "to_svg", "transition_heat_map"]

INK = "#1f2937"
CLEAN = "#2a9d8f"
FLAGGED = "#d1495b"
PAPER = "#ffffff"
DARK = 0.55
"""Share of the darkest cell from which on light text is easier to read."""
MOST_CLASSES_NAMED = 40


def transition_heat_map(
    transition_CC: FloatArray,
    classes: tuple[str, ...],
    *,
    columns: str = "estimated true class",
    darkest: float | None = None,
) -> str:
    """Given class (row) against true class (column); the diagonal is left pale so that errors show.

    Args:
        transition_CC: Shares of the given class.
        classes: Their names.
        columns: What the columns are.
        darkest: Share of the darkest cell; the largest off the diagonal by default.
    """
    num = len(classes)
    side = float(np.clip(0.42 * num + 1.8, 3.6, 9.0))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    off_diagonal = np.where(np.eye(num, dtype=bool), np.nan, transition_CC)
    colours = mpl.colormaps["Reds"].with_extremes(bad="#f3f4f6")
    darkest = max(float(np.nanmax(off_diagonal)), 0.02) if darkest is None else darkest
    image = axes.imshow(off_diagonal, cmap=colours, vmin=0, vmax=darkest)
    if num <= MOST_CLASSES_NAMED:
        axes.set_xticks(range(num), classes, rotation=90, parse_math=False)
        axes.set_yticks(range(num), classes, parse_math=False)
    if num <= 12:
        _write_shares(transition_CC, axes, darkest)
    axes.set(xlabel=columns, ylabel="given class")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the given class")
    return to_svg(figure)


def loss_histogram(loss_N: FloatArray, flagged_N: BoolArray) -> str:
    """Losses of flagged and of other images, log counts."""
    return split_histogram(
        loss_N, flagged_N, names=("not flagged", "flagged"), xlabel="cross-entropy of the given label (nats)"
    )


def split_histogram(
    value_N: FloatArray,
    is_second_N: BoolArray,
    *,
    names: tuple[str, str],
    xlabel: str,
    num_bins: int = 80,
    is_overlaid: bool = False,
) -> str:
    """One value in two groups of images, log counts.

    Args:
        value_N: The value.
        is_second_N: Who is in the second group.
        names: Of both groups.
        xlabel: What the value is.
        num_bins: Equally wide bins.
        is_overlaid: One group before the other instead of on top of it.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(float(value_N.min()), float(max(value_N.max(), value_N.min() + 1e-6)), num_bins + 1)
    axes.hist(
        [value_N[~is_second_N], value_N[is_second_N]],
        bins=edges.tolist(),
        stacked=not is_overlaid,
        histtype="stepfilled" if is_overlaid else "bar",
        alpha=0.6 if is_overlaid else 1,
        color=[CLEAN, FLAGGED],
        label=list(names),
    )
    axes.set(xlabel=xlabel, ylabel="images", yscale="log")
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
    with (
        mpl.rc_context({"svg.hashsalt": "noisyclean", "svg.fonttype": "none", "font.family": "sans-serif"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # text stays text: the reader's fonts draw it
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
