from __future__ import annotations

import time
from pathlib import Path

import pytest

from noisyclean.data import pace
from noisyclean.data.decode import PixelMapping
from noisyclean.data.pace import useful_threads

MAPPING = PixelMapping(size_px=16)


def decoding(monkeypatch: pytest.MonkeyPatch, *, first_s: float = 0.0, file_s: float) -> list[Path]:
    """Let every file take so long; returns what was decoded."""
    decoded: list[Path] = []
    now_s = 0.0

    def decode(path: Path, mapping: PixelMapping) -> None:  # noqa: ARG001
        nonlocal now_s
        now_s += file_s if decoded else first_s
        decoded.append(path)

    monkeypatch.setattr(pace, "decode", decode)
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    return decoded


@pytest.mark.parametrize(("file_s", "threads"), [(1e-4, 1), (2.9e-4, 1), (6.4e-4, 3), (3e-3, 8), (1.0, 8)])
def test_the_longer_a_file_takes_the_more_threads(monkeypatch: pytest.MonkeyPatch, file_s: float, threads: int) -> None:
    decoded = decoding(monkeypatch, first_s=2.0, file_s=file_s)
    assert useful_threads(map(str, range(1000)), MAPPING, most=8) == threads
    assert len(decoded) <= 2 + pace.ENOUGH_S / file_s, "no more than it takes to know"


def test_where_nothing_can_be_told_there_are_as_many_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding(monkeypatch, file_s=1e-4)
    assert useful_threads([], MAPPING, most=5) == 5
    assert useful_threads(["only.png"], MAPPING, most=5) == 5
    assert useful_threads(["one.png", "two.png"], MAPPING, most=5) == 1


def test_nothing_is_decoded_for_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = decoding(monkeypatch, file_s=1.0)
    assert useful_threads(["one.png"], MAPPING, most=1) == 1
    assert not decoded


def test_an_unreadable_file_is_no_error_here(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert 1 <= useful_threads([str(tmp_path / "empty.png")] * 3, MAPPING, most=2) <= 2
