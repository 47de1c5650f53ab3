"""``--size auto``: measured where there is a choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisyclean.base.runtime import choose_runtime
from noisyclean.data.ingest import IngestOptions, read_labels
from noisyclean.errors import DataError
from noisyclean.pipeline import sizing
from noisyclean.pipeline.sizing import choose_size
from noisyclean.types import LabelTable
from tests.conftest import write_table

RUNTIME = choose_runtime("cpu", dtype="float32")
WINDOW = (0.0, 65535.0)


def stripes(root: Path, *, side: int, period: int, num: int = 120) -> LabelTable:
    """Pictures of upright or level stripes of some pixels' period, somewhere."""
    draw = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    rows = []
    for index in range(num):
        wave = 128 + 100 * np.sign(np.sin(2 * np.pi * (np.arange(side) / period + draw.random())))
        image = np.tile(wave, (side, 1)) if index % 2 else np.tile(wave[:, None], (1, side))
        image = np.clip(image + draw.normal(0, 20, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).convert("RGB").save(root / "images" / f"{index}.png")
        rows.append((f"{index}.png", "upright" if index % 2 else "level"))
    return read_labels(root / "images", write_table(root / "labels.csv", rows), IngestOptions()).table


def choose(table: LabelTable, *, most: int = 224, asked: int | None = None) -> tuple[int, str]:
    return choose_size(asked, table, most=most, window=WINDOW, seed=0, runtime=RUNTIME)


def test_detail_that_shrinking_loses_asks_for_the_larger_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "MANY_IMAGES", 1)
    size, reason = choose(stripes(tmp_path, side=128, period=4), most=128)
    assert size == 128
    assert "32 px" in reason
    assert "128 px" in reason


def test_many_images_are_looked_at_small_where_that_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = stripes(tmp_path, side=64, period=16)
    assert choose(table)[0] == 64
    monkeypatch.setattr(sizing, "MANY_IMAGES", 1)
    assert choose(table)[0] == 32


def test_small_images_leave_no_choice(tmp_path: Path) -> None:
    assert choose(stripes(tmp_path, side=24, period=6, num=4))[0] == 32
    assert choose(stripes(tmp_path / "more", side=64, period=6, num=4), most=32)[0] == 32


def test_the_users_size_goes_before(tmp_path: Path) -> None:
    assert choose(stripes(tmp_path, side=64, period=6, num=4), asked=48) == (48, "48 px: as asked")


def test_not_one_readable_image_is_an_error(tmp_path: Path) -> None:
    table = stripes(tmp_path, side=24, period=6, num=2)
    for file in table.file_N:
        Path(file).write_bytes(b"broken")
    with pytest.raises(DataError, match="not one readable image"):
        choose(table)
