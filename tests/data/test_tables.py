from __future__ import annotations

from pathlib import Path

import pytest

from noisyclean.data.tables import read_table


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("x,x (2),x,path,label", ["x", "x (2)", "x (3)", "path", "label"]),
        ("x,x,x (2),path,label", ["x", "x (3)", "x (2)", "path", "label"]),
        ("x,x,x,path,label", ["x", "x (2)", "x (3)", "path", "label"]),
    ],
)
def test_no_column_gets_the_name_of_another(tmp_path: Path, header: str, names: list[str]) -> None:
    (tmp_path / "labels.csv").write_text(f"{header}\n1,2,3,a.png,cat\n")
    frame = read_table(tmp_path / "labels.csv").frame
    assert list(frame.columns) == names
    assert frame.iloc[0].tolist() == ["1", "2", "3", "a.png", "cat"]
