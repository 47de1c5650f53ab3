from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from noisyclean.data.rewrite import write_relabelled
from noisyclean.data.sheets import MACROS
from noisyclean.data.tables import read_table
from noisyclean.errors import UsageError

CONTENT_TYPES = "[Content_Types].xml"


def with_macros(path: Path) -> Path:
    """A workbook that holds macros, as Excel packs it."""
    plain = path.with_suffix(".xlsx")
    pd.DataFrame({"path": ["a.png", "b.png"], "label": ["cat", "dog"]}).to_excel(plain, index=False)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == CONTENT_TYPES:
                content = content.replace(
                    b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
                    b"application/vnd.ms-excel.sheet.macroEnabled.main+xml",
                )
            target.writestr(name, content)
        target.writestr(MACROS, b"some macros")
    return path


@pytest.mark.parametrize("suffix", [".xlsm", ".xlsx"])
def test_macros_stay_where_the_name_says_so(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("openpyxl")
    table, out = read_table(with_macros(tmp_path / "labels.xlsm")), tmp_path / f"cleaned{suffix}"
    write_relabelled(table, {2: {1: "dog"}}, out)
    with zipfile.ZipFile(out) as book:
        assert (MACROS in book.namelist()) == (suffix == ".xlsm")
        assert (b"macroEnabled" in book.read(CONTENT_TYPES)) == (suffix == ".xlsm")
    assert read_table(out).frame["label"].tolist() == ["dog", "dog"]


def test_a_workbook_without_macros_is_not_written_under_their_name(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    table, out = read_table(with_macros(tmp_path / "labels.xlsm").with_suffix(".xlsx")), tmp_path / "cleaned.xlsm"
    with pytest.raises(UsageError, match="holds no macros"):
        write_relabelled(table, {2: {1: "dog"}}, out)
    assert not out.exists()


def test_columns_that_csv_cannot_hold_are_not_emptied(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path, out = tmp_path / "labels.parquet", tmp_path / "cleaned.csv"
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["cat", "dog"], "box": [[1, 2], [3, 4]]})
    frame.to_parquet(path, index=False)
    with pytest.raises(UsageError, match=r"CSV cannot hold column 'box' of .*, which is list<"):
        write_relabelled(read_table(path), {2: {1: "dog"}}, out)
    assert not out.exists()
    frame.drop(columns="box").to_parquet(path, index=False)
    write_relabelled(read_table(path), {2: {1: "dog"}}, out)
    assert out.read_text() == "path,label\na.png,dog\nb.png,dog\n"
