"""IMAGES named from the folder one works in: a file is known by its absolute path, however it was spelled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisyclean.base.log import Silent
from noisyclean.data.ingest import read_labels
from noisyclean.pipeline.finished import open_finished
from noisyclean.pipeline.preparing import stored_images
from noisyclean.pipeline.testing import set_tested_aside
from tests.conftest import Run
from tests.inputs.conftest import NAMES, QUICK, Case, rows_of

BITMAPS = tuple(name.replace(".png", ".bmp") for name in NAMES)


def make_project(root: Path, shade: int) -> None:
    """Bitmaps whose names, sizes and times are those of every other project."""
    (root / "images").mkdir(parents=True)
    for index, name in enumerate(BITMAPS):
        pixels = np.full((16, 16, 3), shade, dtype=np.uint8)
        pixels[:8] += index
        Image.fromarray(pixels).save(root / "images" / name)
        os.utime(root / "images" / name, ns=(10**18, 10**18))
    (root / "labels.csv").write_text(rows_of(names=BITMAPS), encoding="utf-8")


def test_projects_that_look_alike_do_not_share_pixels(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, shade in (("dark", 0), ("bright", 200)):
        make_project(tmp_path / name, shade)
        monkeypatch.chdir(tmp_path / name)
        done = cli("audit", "images", "labels.csv", "--out", "run", "--cache", tmp_path / "cache", *QUICK)
        assert done.exit_code == 0, done.stderr
        images = np.load(stored_images(open_finished(Path("run")).run) / "images.npy")
        assert abs(int(images.min()) - shade) < 5


def test_messages_keep_the_spelling_of_the_user(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.root)
    read = read_labels(Path("images"), case.table(rows_of()))
    assert read.facts["paths"] == "relative to images"
    assert read.table.file_N.tolist() == [str(case.images / name) for name in NAMES]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_tested_files_are_recognised_in_every_spelling(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    (case.root / "link").symlink_to(case.images)
    monkeypatch.chdir(case.root)
    ingested = read_labels(Path("link"), case.table(rows_of()))
    absolute = tuple(str(case.images / name) for name in NAMES[:3])
    test = case.table(rows_of(names=absolute), "test.csv")
    files = read_labels(Path("images"), test).table.file_N.tolist()
    aside = set_tested_aside(ingested, files, test, reporter=Silent())
    assert aside.table.split_N is not None
    assert aside.table.split_N.tolist() == ["test"] * 3 + [""] * 9
