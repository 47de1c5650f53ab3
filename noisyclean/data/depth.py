"""Which stored values of deep images (16 bits, floating point) are shown as black and as white."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noisyclean.data.decode import DAMAGE, FULL_RANGE, WIDE_MODES, UnreadableImage, open_image, quiet_pillow

__all__ = ["choose_window"]

HEADERS = 200
"""Headers looked at for deep images."""
DECODED = 32
"""Deep images whose values are looked at."""
BITS = (8, 10, 12, 14, 16)


def choose_window(files: Sequence[str]) -> tuple[tuple[float, float], str]:
    """The window all deep images of a data set are shown through, and why; all of 16 bits where there are none.

    Cameras and scanners store 10, 12 or 14 bits in files of 16, which would be almost black. The bit depth is read off
    the largest value of a sample, so that one window serves the whole set and ``predict`` repeats it.
    """
    low, high, num_deep = np.inf, -np.inf, 0
    for file in files[:: max(1, len(files) // HEADERS)]:
        found = _extremes(Path(file))
        if found is not None:
            low, high, num_deep = min(low, found[0]), max(high, found[1]), num_deep + 1
        if num_deep == DECODED:
            break
    if num_deep == 0:
        return FULL_RANGE, "8 bits a channel"
    bits = next((bits for bits in BITS if high < 2**bits), None)
    if low < 0 or bits is None or high <= 1:
        window = (0.0, 1.0) if low >= 0 and high <= 1 else (float(low), float(high))
        return window, f"{window[0]:g} is black and {window[1]:g} white: the values of {num_deep} deep images"
    return (0.0, float(2**bits - 1)), f"{bits} bits a channel: the largest value in {num_deep} deep images is {high:g}"


def _extremes(file: Path) -> tuple[float, float] | None:
    """Smallest and largest value of a deep image; None for all others."""
    try:
        if not file.is_file():
            return None
        with quiet_pillow(), open_image(file) as image:
            if image.mode not in WIDE_MODES:
                return None
            values = np.asarray(image)
            return float(np.nanmin(values)), float(np.nanmax(values))
    except (UnreadableImage, *DAMAGE):
        return None
