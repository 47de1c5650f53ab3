"""A folder per class that appears as a whole, and what lies where it grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisyclean.errors import UsageError
from noisyclean.export import folders
from noisyclean.export.folders import Placed, place_in_folders


@pytest.fixture
def images(tmp_path: Path) -> list[Placed]:
    """Two files of two classes."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text(name)
    return [Placed(str(tmp_path / "a.png"), "cat"), Placed(str(tmp_path / "b.png"), "dog")]


def test_what_an_interrupted_call_left_is_replaced(
    images: list[Placed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(folders, "link_or_copy", killed)
        with pytest.raises(RuntimeError):
            place_in_folders(images, tmp_path / "tree")
    (tmp_path / "tree.partial" / "stale.png").touch()
    assert place_in_folders(images, tmp_path / "tree") == ["cat/a.png", "dog/b.png"]
    assert {path.name for path in (tmp_path / "tree").rglob("*")} == {"cat", "dog", "a.png", "b.png"}
    assert not (tmp_path / "tree.partial").exists()


def test_a_strangers_folder_of_that_name_is_left_alone(images: list[Placed], tmp_path: Path) -> None:
    (tmp_path / "tree.partial").mkdir()
    (tmp_path / "tree.partial" / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"tree\.partial: is there already"):
        place_in_folders(images, tmp_path / "tree")
    assert (tmp_path / "tree.partial" / "thesis.tex").exists()
