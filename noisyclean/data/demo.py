"""The demo's images: 1,797 hand-written digits that ship with scikit-learn (UCI, CC BY 4.0), written as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

from noisyclean.base.files import write_text
from noisyclean.base.randomness import numpy_generator
from noisyclean.data.noise import symmetric

__all__ = ["write_digits"]

NUM_CLASSES = 10


def write_digits(folder: Path, *, rate: float, seed: int) -> None:
    """Write ``images/``, ``labels.csv`` (a share ``rate`` of them wrong) and ``truth.csv`` into ``folder``."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    truth_N = digits.target.astype(np.int64)
    noisy_N = symmetric(truth_N, NUM_CLASSES, rate, including_true=False, generator=numpy_generator(seed, "demo"))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = [f"{row:04d}.png" for row in range(len(images))]
    for name, image_HW in zip(names, images, strict=True):
        path = folder / "images" / name
        if not path.exists():
            Image.fromarray(image_HW).save(path)
    for name, label_N in (("labels.csv", noisy_N), ("truth.csv", truth_N)):
        table = pd.DataFrame({"path": names, "label": label_N})
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
