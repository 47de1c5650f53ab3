"""The workbook, filled in and read back."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from tests.export.conftest import NAMES, Desk

openpyxl = pytest.importorskip("openpyxl")


def test_a_row_for_every_image_with_its_picture_and_lists_to_choose_from(desk: Desk) -> None:
    done = desk.export("xlsx")
    assert done.exit_code == 0, done.stderr
    assert done.json["path"] == str(desk.run / "flagged.xlsx")
    book = openpyxl.load_workbook(desk.run / "flagged.xlsx")
    sheet = book["flagged"]
    names = [cell.value for cell in sheet[1]]
    rows = desk.flagged
    assert sheet.max_row == len(rows) + 1
    assert [sheet.cell(row=2 + index, column=names.index("rank") + 1).value for index in range(3)] == [1, 2, 3]
    assert isinstance(sheet.cell(row=2, column=names.index("p_mislabeled") + 1).value, int | float)
    labels = [sheet.cell(row=2 + index, column=names.index("given_label") + 1) for index in range(len(rows))]
    assert [cell.value.lstrip("'") for cell in labels] == [row["given_label"] for row in rows]
    assert {cell.data_type for cell in labels} == {"s"}
    assert len(sheet._images) == len(rows)
    for index, image in enumerate(sheet._images):
        assert (image.anchor._from.row, image.anchor.to.row, image.anchor.to.col) == (index + 1, index + 1, 0)
        assert Image.open(io.BytesIO(image._data())).size == (96, 96)
    rules = {str(rule.sqref): rule for rule in sheet.data_validations.dataValidation}
    assert len(rules) == 2
    listed = {cell.value for cell in book["lists"]["A"][1:]}
    assert {"keep", "relabel", "unsure", "bad"} == listed - {None}
    verdict = openpyxl.utils.get_column_letter(names.index("verdict") + 1)
    assert rules[f"{verdict}2:{verdict}{len(rows) + 1}"].errorStyle == "stop"


def test_there_and_back(desk: Desk) -> None:
    path = desk.root / "ann.xlsx"
    desk.export("xlsx", "--out", path)
    book = openpyxl.load_workbook(path)
    sheet, rows = book["flagged"], desk.flagged
    column = {cell.value: cell.column for cell in sheet[1]}
    other = next(name for name in NAMES.values() if name not in (rows[1]["given_label"], rows[1]["suggested_label"]))
    offered = next(cell.value for cell in book["lists"]["C"][1:] if cell.value.lstrip("'") == other)
    for row, (word, label) in enumerate([("relabel", None), ("relabel", offered), ("keep", None), ("bad", None)], 2):
        sheet.cell(row=row, column=column["verdict"]).value = word
        sheet.cell(row=row, column=column["reviewed_label"]).value = label
    book.save(path)
    done = desk.review(path)
    assert done.exit_code == 0, done.stderr
    assert desk.changed() == {
        rows[0]["image_path"]: (rows[0]["given_label"], rows[0]["suggested_label"]),
        rows[1]["image_path"]: (rows[1]["given_label"], other),
    }
    assert (done.json["num_kept"], done.json["num_bad"]) == (1, 1)


def test_without_the_extra_it_says_which(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    done = desk.export("xlsx")
    assert done.exit_code == 4
    assert "pip install 'noisyclean[xlsx]'" in done.stderr
