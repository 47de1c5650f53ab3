"""What all forms of handing over have in common."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from noisyclean.data.shielding import restore
from noisyclean.pipeline.finished import open_finished
from noisyclean.pipeline.subset import flagged_subset
from tests.export.conftest import Desk

FORMS = ("labelstudio", "folders", "xlsx")
MADE = {"labelstudio": "labelstudio/tasks.json", "folders": "to-sort/sorting.json", "xlsx": "flagged.xlsx"}


@pytest.fixture(autouse=True)
def _openpyxl() -> None:
    pytest.importorskip("openpyxl")


@pytest.mark.parametrize("form", FORMS)
def test_a_run_without_flagged_images(desk: Desk, form: str) -> None:
    desk.forget_flags()
    done = desk.export(form)
    assert done.exit_code == 0, done.stderr
    assert done.json["num_images"] == 0
    assert "no image is flagged" in done.stderr
    returned = desk.run / MADE[form]
    source = returned.parent if form == "folders" else returned
    done = desk.review(source)
    assert done.exit_code == (3 if form == "xlsx" else 0)
    assert ("no rows" if form == "xlsx" else "no row has a verdict") in done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_stays_unless_it_may_go(desk: Desk, form: str) -> None:
    assert desk.export(form).exit_code == 0
    made = desk.run / MADE[form]
    before = made.read_bytes()
    refused = desk.export(form)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert made.read_bytes() == before
    assert desk.export(form, "--overwrite").exit_code == 0


@pytest.mark.parametrize("form", FORMS)
def test_nothing_goes_into_the_images(desk: Desk, form: str) -> None:
    refused = desk.export(form, "--out", desk.images / "out")
    assert refused.exit_code == 2
    assert "never written to" in refused.stderr


@pytest.mark.parametrize("form", FORMS)
def test_images_that_are_gone_do_not_stop_it(desk: Desk, form: str) -> None:
    file = desk.images / desk.flagged[0]["image_path"]
    away = desk.root / "away.png"
    shutil.move(file, away)
    try:
        done = desk.export(form)
    finally:
        shutil.move(away, file)
    assert done.exit_code == 0, done.stderr
    assert done.json["num_images"] == len(desk.flagged) - (form == "folders")


@pytest.mark.parametrize("form", FORMS)
def test_flags_that_a_spreadsheet_rewrote(desk: Desk, form: str) -> None:
    path = desk.run / "flagged.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    path.write_bytes(frame.iloc[::-1].to_csv(sep=";", index=False).encode("utf-16"))
    assert desk.export(form).json["num_images"] == len(frame)


def test_flags_that_somebody_sorted_are_handed_over_worst_first(desk: Desk) -> None:
    path, before = desk.run / "flagged.csv", [row["image_path"] for row in desk.flagged]
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    frame.sort_values("image_path").to_csv(path, index=False)
    handed = flagged_subset(open_finished(desk.run))
    assert [(image.rank, image.image_path) for image in handed.flagged] == list(enumerate(before, start=1))
    assert handed.cells["image_path"].map(restore).tolist() == before
    frame.assign(rank="").to_csv(path, index=False)
    assert [image.rank for image in flagged_subset(open_finished(desk.run)).flagged][:2] == [1, 2]


def test_other_words_and_unfinished_runs_are_refused(desk: Desk) -> None:
    tea = desk.export("tea")
    assert tea.exit_code == 2
    assert "labelstudio, folders, xlsx, onnx" in tea.stderr
    (desk.run / "flagged.csv").unlink()
    gone = desk.export("folders")
    assert gone.exit_code == 2
    assert "flagged.csv: is gone" in gone.stderr
    (desk.run / "summary.json").unlink()
    assert desk.export("xlsx").exit_code == 2


def test_a_model_that_is_there_stays_too(desk: Desk) -> None:
    made = desk.run / "model" / "model.onnx"
    made.write_text("mine")
    refused = desk.export("onnx")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert made.read_text() == "mine"
