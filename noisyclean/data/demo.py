"""The demo's images: 1,797 hand-written digits that ship with scikit-learn (UCI, CC BY 4.0), written as PNG files."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

from noisyclean.base.files import write_text
from noisyclean.base.randomness import numpy_generator
from noisyclean.data.noise import symmetric

__all__ = ["digit_tables", "write_digits"]

NUM_CLASSES = 10
_digits = functools.cache(load_digits)


def digit_tables(*, rate: float, seed: int) -> dict[str, str]:
    """The text of ``truth.csv``, the same for every seed, and of ``labels.csv``, a share ``rate`` of them wrong."""
    truth_N = _digits().target.astype(np.int64)
    noisy_N = symmetric(truth_N, NUM_CLASSES, rate, including_true=False, generator=numpy_generator(seed, "demo"))
    names = _names(len(truth_N))
    return {
        name: pd.DataFrame({"path": names, "label": label_N}).to_csv(index=False, lineterminator="\n")
        for name, label_N in (("truth.csv", truth_N), ("labels.csv", noisy_N))
    }


def write_digits(folder: Path, *, rate: float, seed: int) -> None:
    """Write ``truth.csv`` first, ``labels.csv`` and ``images/`` into ``folder``."""
    for name, text in digit_tables(rate=rate, seed=seed).items():
        write_text(folder / name, text)
    images = np.rint(_digits().images * (255 / 16)).astype(np.uint8)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name, image_HW in zip(_names(len(images)), images, strict=True):
        path = folder / "images" / name
        if not path.exists():
            partial = path.with_suffix(".partial")  # not atomic_path: 1,797 flushes to disk take seconds
            Image.fromarray(image_HW).save(partial, "PNG")
            partial.replace(path)


def _names(num: int) -> list[str]:
    return [f"{row:04d}.png" for row in range(num)]
