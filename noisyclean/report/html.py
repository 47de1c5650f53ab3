"""The review page: one self-contained file that opens without a server and asks nothing of the network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from noisyclean.data.decode import PixelMapping
from noisyclean.data.thumbnails import thumbnail_jpeg
from noisyclean.report.page import fill_template
from noisyclean.report.plots import loss_histogram, transition_heat_map
from noisyclean.types import FloatArray, SampleStats

__all__ = ["render_page"]


def render_page(
    *,
    title: str,
    identity: str,
    summary: Mapping[str, Any],
    flagged: pd.DataFrame,
    files: list[str],
    stats: SampleStats,
    loss_N: FloatArray,
    mapping: PixelMapping,
) -> str:
    """The page as text; every name that comes from outside is escaped.

    Args:
        title: Shown on top.
        identity: Keeps one run's verdicts in the browser apart from another's.
        summary: As ``summary.json`` holds it.
        flagged: The worst rows of the flag table, one card each.
        files: Their image files.
        stats: Verdicts on all samples.
        loss_N: Their losses.
        mapping: How the model sees pixels; its size is the thumbnails' size here.
    """
    cards = [
        {**row, "percent": f"{float(row['p_mislabeled']):.0%}", "thumbnail": _thumbnail(Path(file), mapping)}
        for row, file in zip(flagged.to_dict("records"), files, strict=True)
    ]
    classes = tuple(row["name"] for row in summary["classes"])
    return fill_template(
        "template.html",
        title=title,
        identity=identity,
        summary=summary,
        cards=cards,
        heat_map=Markup(transition_heat_map(stats.noise.transition_CC, classes)),
        histogram=Markup(loss_histogram(np.asarray(loss_N), stats.flagged_N)),
    )


def _thumbnail(file: Path, mapping: PixelMapping) -> str:
    """A data URI, or nothing where the file cannot be read any more."""
    content = thumbnail_jpeg(file, mapping)
    return "data:image/jpeg;base64," + base64.b64encode(content).decode() if content else ""
