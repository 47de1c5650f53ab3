"""Advice on paths, as it is found on a system of other separators."""

from __future__ import annotations

import ntpath
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from noisyclean.data import advice
from noisyclean.data.spelling import as_meant


def test_names_of_another_composition_are_found_where_paths_have_backslashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png").touch()
    of_windows = SimpleNamespace(**{**vars(os.path), "normpath": ntpath.normpath})
    monkeypatch.setattr(advice, "os", SimpleNamespace(**{**vars(os), "path": of_windows}))
    told = advice.advise_prefix(["D:\\cam\\sub\\cafe\N{COMBINING ACUTE ACCENT}.png"], tmp_path)
    assert "1 of 1 would be found without 'D:\\cam\\'" in told


def test_a_path_is_meant_alike_on_every_system() -> None:
    assert as_meant(" a\\.\\b//c.png ") == "a/b/c.png"
