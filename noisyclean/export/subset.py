"""The flagged images of a run, as every form of handing them over takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from noisyclean.data.decode import PixelMapping

__all__ = ["VERDICT_HELP", "FlaggedImage", "Subset"]

VERDICT_HELP = {
    "keep": "the given label is right",
    "relabel": "the given label is wrong",
    "unsure": "cannot be told from the picture; the label stays",
    "bad": "no usable picture of any class",
}
"""The words of a verdict, and what they mean."""


@dataclass(frozen=True, kw_only=True)
class FlaggedImage:
    """One flagged image."""

    rank: int
    """1 for the worst."""
    image_path: str
    """As the input table gave it."""
    file: str
    """Where it is; empty if it is gone."""
    given_label: str
    suggested_label: str
    p_mislabeled: float
    p_suggested: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Subset:
    """All of them, worst first."""

    run: Path
    images: Path
    """The images folder, never written to."""
    classes: tuple[str, ...]
    flagged: tuple[FlaggedImage, ...]
    cells: pd.DataFrame
    """``flagged.csv`` as text, a row for each of ``flagged``."""
    mapping: PixelMapping
    """How stored values become pixels that people can see."""
