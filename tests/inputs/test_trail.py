"""The audit trail: what reviewers wrote comes back, whatever it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.errors import DataError
from noisyclean.pipeline.trail import TRAIL, add_to_trail, read_trail
from noisyclean.report.verdicts import Decision, Verdict

KEPT = {name: Decision("kept", "cat") for name in ("a.png", "b.png")}


def verdict(image: str, comment: str) -> Verdict:
    """Somebody keeps a label and says why."""
    return Verdict(
        reviewer="ann", image_path=image, given_label="cat", verdict="keep", new_label="cat", comment=comment
    )


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_comment_comes_back(tmp_path_factory: pytest.TempPathFactory, comment: str) -> None:
    root, item = tmp_path_factory.mktemp("run"), verdict("a.png", comment)
    add_to_trail(root, [item], KEPT)
    assert read_trail(root) == [item]
    assert add_to_trail(root, [item], KEPT) == 0


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends_in_older_comments_stay(tmp_path: Path, end: str) -> None:
    items = [verdict("a.png", f"one{end}two"), verdict("b.png", "more")]
    for item in items:
        add_to_trail(tmp_path, [item], KEPT)
    assert read_trail(tmp_path) == items


def test_a_torn_row_is_named(tmp_path: Path) -> None:
    add_to_trail(tmp_path, [verdict("a.png", "one")], KEPT)
    with (tmp_path / TRAIL).open("a", encoding="utf-8", newline="") as file:
        file.write("2026-01-01,ann,b.png,cat,keep,cat,one\rtwo,kept\n")
    with pytest.raises(DataError, match="line 4: the row is torn"):
        read_trail(tmp_path)
