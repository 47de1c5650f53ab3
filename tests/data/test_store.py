from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisyclean.base.log import Silent
from noisyclean.data import store as store_module
from noisyclean.data.decode import PixelMapping, read_content
from noisyclean.data.journal import JOURNAL
from noisyclean.data.known import KnownImages
from noisyclean.data.store import build_store, open_store
from noisyclean.errors import EnvironmentProblem
from tests.conftest import Shapes

MAPPING = PixelMapping(size_px=16)


def files_of(shapes: Shapes) -> list[str]:
    return [str(shapes.images / name) for name in shapes.names]


def test_pixels_are_those_of_the_files(shapes: Shapes, tmp_path: Path) -> None:
    store = build_store(tmp_path / "store", files_of(shapes), MAPPING, threads=2, reporter=Silent())
    for row in (0, 17, 239):
        assert (store.images_NHWI[row] == np.asarray(Image.open(shapes.images / shapes.names[row]))).all()
    assert (store.size_N2 == 16).all()


def test_failures_are_recorded_and_black(shapes: Shapes, tmp_path: Path) -> None:
    (shapes.images / "003.png").write_bytes(b"no image")
    (shapes.images / "004.png").unlink()
    store = build_store(tmp_path / "store", files_of(shapes), MAPPING, threads=2, reporter=Silent())
    assert np.flatnonzero(store.failure_N != "").tolist() == [3, 4]
    assert "not an image" in store.failure_N[3]
    assert not store.images_NHWI[3].any()
    assert store.content_N[3] == ""


def test_a_torn_journal_continues(shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BLOCK_ROWS", 50)
    monkeypatch.setattr(store_module, "BLOCKS_A_THREAD", 1)
    folder = tmp_path / "store"
    whole = build_store(folder, files_of(shapes), MAPPING, threads=1, reporter=Silent())
    pixels = np.array(whole.images_NHWI)
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:2]) + lines[2][:40])
    decoded: list[str] = []

    def spy(file: Path) -> bytes:
        decoded.append(file.name)
        return read_content(file)

    monkeypatch.setattr("noisyclean.data.store.read_content", spy)
    again = build_store(folder, files_of(shapes), MAPPING, threads=1, reporter=Silent())
    assert len(decoded) == 140
    assert (again.images_NHWI == pixels).all()
    assert (again.content_N == whole.content_N).all()


def test_equal_files_have_equal_content(shapes: Shapes, tmp_path: Path) -> None:
    (shapes.images / "001.png").write_bytes((shapes.images / "000.png").read_bytes())
    store = build_store(tmp_path / "store", files_of(shapes), MAPPING, threads=2, reporter=Silent())
    assert store.content_N[0] == store.content_N[1] != store.content_N[2]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve disk blocks")
def test_a_full_disk_is_said_before_anything_is_decoded(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(EnvironmentProblem, match="more than the disk"):
        build_store(tmp_path / "store", files_of(shapes), MAPPING, threads=2, reporter=Silent())
    assert not (tmp_path / "store" / "images.npy").exists()


def test_opening_reads_without_rights_to_the_file(shapes: Shapes, tmp_path: Path) -> None:
    build_store(tmp_path / "store", files_of(shapes), MAPPING, threads=2, reporter=Silent())
    opened = open_store(tmp_path / "store")
    before = np.array(opened.images_NHWI[0])
    opened.images_NHWI[0] = 0
    assert (open_store(tmp_path / "store").images_NHWI[0] == before).all()


def test_decoding_threads_leave_the_filters_of_warnings_alone(shapes: Shapes, tmp_path: Path) -> None:
    before = list(warnings.filters)
    build_store(tmp_path / "store", files_of(shapes), MAPPING, threads=4, reporter=Silent())
    assert warnings.filters == before


def test_a_file_replaced_while_it_is_read_is_read_again_later(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(shapes)[:3]

    def replaced_behind(file: Path) -> bytes:
        content = read_content(file)
        if file.name == "001.png":
            file.write_bytes((shapes.images / "010.png").read_bytes() + b"more")
        return content

    with monkeypatch.context() as patch:
        patch.setattr("noisyclean.data.store.read_content", replaced_behind)
        build_store(tmp_path / "old", files, MAPPING, threads=1, reporter=Silent())
    known = KnownImages([tmp_path / "old"], MAPPING)
    assert [known.by_file(file) is None for file in files] == [False, True, False]
