"""What the rows of a speed table work on: a data set in the demo's form, or generated pictures; and how much of it."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from noisyclean.base.log import Silent
from noisyclean.base.runtime import Runtime
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.data.decode import PixelMapping
from noisyclean.data.formats import is_image_name
from noisyclean.data.store import build_store
from noisyclean.errors import DataError

__all__ = ["FULL", "TINY", "Amounts", "Workload", "generated_folder", "open_workload"]

NUM_CLASSES = 10
RATE = 0.2


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much work a call does."""

    files: int
    """Files decoded."""
    photo_px: int
    """Side that they are resized to."""
    images: int
    """Images augmented, and trained on by SimCLR, in one call."""
    simclr_batch: int
    divided: int
    """Images in one epoch of DivideMix."""
    neighbours: int
    """Rows that look for neighbours among themselves."""
    k: int
    audited: int
    """Images audited."""
    folds_epochs: int
    """Epochs of each fold of cross-validation."""
    audit_settings: tuple[str, ...] = ()
    """Settings of the audit that differ from the default preset's."""


FULL = Amounts(
    files=398,
    photo_px=224,
    images=2048,
    simclr_batch=512,
    divided=1024,
    neighbours=50_000,
    k=250,
    audited=10_000,
    folds_epochs=12,
)
TINY = Amounts(
    files=8,
    photo_px=64,
    images=64,
    simclr_batch=32,
    divided=64,
    neighbours=600,
    k=20,
    audited=200,
    folds_epochs=1,
    audit_settings=("probe.epochs=1", "probe.num_nets=1", "probe.num_recordings=1"),
)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A data set on the disk and a place for temporary files."""

    root: Path
    """Holds ``images/`` and perhaps ``labels.csv`` and ``truth.csv``; any other folder is taken for the images."""
    scratch: Path
    amounts: Amounts
    runtime: Runtime
    is_generated: bool

    @property
    def images(self) -> Path:
        """The images folder."""
        return self.root / "images" if (self.root / "images").is_dir() else self.root

    @cached_property
    def files(self) -> list[Path]:
        """All picture files, in order."""
        found = sorted(path for path in self.images.rglob("*") if is_image_name(path.name) and path.is_file())
        if not found:
            raise DataError(f"--data {self.root}: no pictures there", hint="Give a folder of JPEG or PNG files.")
        return found

    @cached_property
    def small_NHWI(self) -> NDArray[np.uint8]:  # noqa: N802
        """Pictures of 32 px, as many as the augmenting and training rows need; repeated where there are fewer."""
        wanted = max(self.amounts.images, self.amounts.divided)
        files = [str(path) for path in self.files[:wanted]]
        mapping = PixelMapping(size_px=32)
        store = build_store(
            self.scratch / "small", files, mapping, threads=self.runtime.threads, reporter=Silent()
        ).images_NHWI
        return np.resize(np.asarray(store), (wanted, 32, 32, 3))

    @cached_property
    def pixels(self) -> Pixels:
        """The same on the device."""
        return load_pixels(self.small_NHWI, self.runtime.device)

    def labels(self, num: int) -> torch.Tensor:
        """Labels for training rows, where only the speed counts: every class equally often."""
        return torch.arange(num, device=self.runtime.device) % NUM_CLASSES


@contextmanager
def open_workload(data: Path | None, amounts: Amounts, runtime: Runtime) -> Iterator[Workload]:
    """A data set, or generated pictures that are deleted at the end.

    Raises:
        DataError: There is no such folder.
    """
    if data is not None and not data.is_dir():
        raise DataError(f"--data {data}: no such folder", hint="Give a folder with images/, labels.csv and truth.csv.")
    with tempfile.TemporaryDirectory(prefix="noisyclean-bench-") as name:
        scratch = Path(name)
        root = data
        if root is None:
            root = generated_folder(scratch / "generated", max(amounts.images, amounts.audited, amounts.divided))
        yield Workload(root=root, scratch=scratch, amounts=amounts, runtime=runtime, is_generated=data is None)


def generated_folder(root: Path, num: int, *, size_px: int = 32, seed: int = 0) -> Path:
    """Write ``num`` pictures of ten kinds of stripes, a fifth of them labelled wrongly, in the demo's form.

    Args:
        root: A new folder for ``images/``, ``labels.csv`` and ``truth.csv``.
        num: Pictures.
        size_px: Their side.
        seed: Of everything random.
    """
    draw = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    y, x = np.mgrid[:size_px, :size_px] * (32 / size_px)
    rows, truth = [], []
    for index in range(num):
        true = index % NUM_CLASSES
        angle, frequency = np.pi * (true % 5) / 5, 0.35 if true < 5 else 0.8
        wave = np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle)) + draw.uniform(0, 2 * np.pi))
        colour = draw.uniform(20, 90, 3)
        image = 128 + wave[..., None] * colour + draw.normal(0, 25, (size_px, size_px, 3))
        name = f"{index:07d}.jpg"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / name, quality=90)
        given = int(draw.integers(NUM_CLASSES)) if draw.random() < RATE else true
        rows.append((name, str(given)))
        truth.append((name, str(true)))
    for table, content in (("labels.csv", rows), ("truth.csv", truth)):
        with (root / table).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "label"), *content])
    return root


def generated_photos(root: Path, num: int, *, width_px: int = 1000, height_px: int = 750, seed: int = 0) -> list[Path]:
    """Write ``num`` large JPEG files with detail at every scale, as photographs have."""
    draw = np.random.default_rng(seed)
    root.mkdir(parents=True)
    files = []
    for index in range(num):
        total = np.zeros((height_px, width_px, 3))
        for side in (4, 16, 64, 256):
            coarse = Image.fromarray(draw.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8))
            total += np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BICUBIC), dtype=np.float64) / 4
        files.append(root / f"{index:04d}.jpg")
        Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(files[-1], quality=90)
    return files
