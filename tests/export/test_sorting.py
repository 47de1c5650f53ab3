"""Images sorted by hand, and where they lie read back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from noisyclean.base.files import read_json
from noisyclean.base.log import Silent
from noisyclean.export import sorting
from noisyclean.pipeline.finished import open_finished
from noisyclean.pipeline.subset import flagged_subset
from tests.export.conftest import NAMES, Desk


def files_of(folder: Path) -> dict[str, Path]:
    """Where each flagged image lies, by its path in the table."""
    listed = read_json(folder / "sorting.json")["files"]
    return {listed[file.name]["image_path"]: file for file in folder.rglob("*.png")}


def folder_of(folder: Path, label: str) -> Path:
    """Of a class."""
    meanings = read_json(folder / "sorting.json")["folders"]
    name: str = next(name for name, meaning in meanings.items() if meaning.get("label") == label)
    return folder / name


def move(file: Path, folder: Path) -> None:
    """As people do."""
    folder.mkdir(exist_ok=True)
    shutil.move(file, folder / file.name)


def test_every_flagged_image_lies_under_its_label(desk: Desk) -> None:
    done = desk.export("folders")
    assert done.exit_code == 0, done.stderr
    out = desk.run / "to-sort"
    assert done.json["path"] == str(out)
    assert done.json["num_images"] == len(desk.flagged)
    places = files_of(out)
    for rank, row in enumerate(desk.flagged, start=1):
        file = places[row["image_path"]]
        assert file.parent == folder_of(out, row["given_label"])
        assert file.name.startswith(f"{rank:04d}_")
        assert file.read_bytes() == (desk.images / row["image_path"]).read_bytes()
    assert {path.name for path in out.iterdir()} > {"_keep", "_unsure", "_bad"}


def test_there_and_back(desk: Desk) -> None:
    out = desk.root / "sort"
    desk.export("folders", "--out", out)
    rows, places = desk.flagged, files_of(out)
    other = next(name for name in NAMES.values() if name not in (rows[1]["given_label"], rows[1]["suggested_label"]))
    move(places[rows[0]["image_path"]], folder_of(out, rows[0]["suggested_label"]))
    move(places[rows[1]["image_path"]], folder_of(out, other))
    move(places[rows[2]["image_path"]], out / "_keep")
    move(places[rows[3]["image_path"]], out / "_bad")
    move(places[rows[4]["image_path"]], out / "_unsure")
    places[rows[5]["image_path"]].unlink()
    (out / "_bad" / "Thumbs.db").write_text("windows")
    done = desk.review(out)
    assert done.exit_code == 0, done.stderr
    assert desk.changed() == {
        rows[0]["image_path"]: (rows[0]["given_label"], rows[0]["suggested_label"]),
        rows[1]["image_path"]: (rows[1]["given_label"], other),
    }
    counts = {name: done.json[f"num_{name}"] for name in ("kept", "relabelled", "unsure", "bad", "verdicts")}
    assert counts == {"kept": 1, "relabelled": 2, "unsure": 1, "bad": 1, "verdicts": 5}


def test_a_new_folder_is_a_new_label(desk: Desk) -> None:
    out = desk.root / "sort"
    desk.export("folders", "--out", out)
    row = desk.flagged[0]
    move(files_of(out)[row["image_path"]], out / "wolf")
    refused = desk.review(out)
    assert refused.exit_code == 3
    assert "label 'wolf' is no class of the run" in refused.stderr
    assert desk.review(out, "--allow-new-labels").exit_code == 0
    assert desk.changed() == {row["image_path"]: (row["given_label"], "wolf")}


def test_what_cannot_be_understood_is_refused(desk: Desk) -> None:
    out = desk.root / "sort"
    desk.export("folders", "--out", out)
    file = files_of(out)[desk.flagged[0]["image_path"]]
    for folder in ("_keep", "_bad"):
        shutil.copy(file, out / folder)
    twice = desk.review(out)
    assert twice.exit_code == 3
    assert "lies in" in twice.stderr
    (out / "_bad" / file.name).rename(out / "_bad" / "renamed.png")
    strange = desk.review(out)
    assert strange.exit_code == 3
    assert "renamed.png" in strange.stderr
    no_folder = desk.review(desk.root)
    assert no_folder.exit_code == 3
    assert "holds no sorting.json" in no_folder.stderr


def test_a_copy_left_at_its_start_does_not_count(desk: Desk) -> None:
    out = desk.root / "sort"
    desk.export("folders", "--out", out)
    shutil.copy(files_of(out)[desk.flagged[0]["image_path"]], out / "_keep")
    done = desk.review(out)
    assert (done.json["num_verdicts"], done.json["num_kept"]) == (1, 1)


def test_somebodys_work_is_not_replaced_unasked(desk: Desk) -> None:
    out = desk.root / "sort"
    desk.export("folders", "--out", out)
    file = files_of(out)[desk.flagged[0]["image_path"]]
    move(file, out / "_keep")
    (out / "_keep" / "mine.txt").write_text("mine")
    refused = desk.export("folders", "--out", out)
    assert refused.exit_code == 2
    assert (out / "_keep" / file.name).exists()
    assert desk.export("folders", "--out", out, "--overwrite").exit_code == 0
    assert file.exists()
    assert not (out / "_keep" / file.name).exists()
    assert (out / "_keep" / "mine.txt").read_text() == "mine"
    (desk.root / "other").mkdir()
    (desk.root / "other" / "mine.txt").write_text("mine")
    strange = desk.export("folders", "--out", desk.root / "other", "--overwrite")
    assert strange.exit_code == 2
    assert "is no folder to sort" in strange.stderr


def test_a_class_that_is_called_like_a_verdict_gets_another_folder(desk: Desk) -> None:
    subset = flagged_subset(open_finished(desk.run))
    odd = subset.flagged[0].given_label
    flagged = [replace(image, given_label="_keep") if image.given_label == odd else image for image in subset.flagged]
    classes = tuple("_keep" if name == odd else name for name in subset.classes)
    out = desk.root / "sort"
    sorting.write_sorting(replace(subset, classes=classes, flagged=tuple(flagged)), out, Silent())
    assert set(sorting.read_sorting(out).frame["verdict"]) == {""}
    move(files_of(out)[flagged[0].image_path], out / "_keep")
    table = sorting.read_sorting(out).frame.set_index("image_path")
    assert table.loc[flagged[0].image_path, "verdict"] == "keep"


def test_a_folder_that_a_killed_call_left_is_known_as_ours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    out = desk.root / "sort"

    def killed(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(sorting, "link_or_copy", killed)
        with pytest.raises(RuntimeError):
            desk.export("folders", "--out", out)
    refused = desk.export("folders", "--out", out)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert desk.export("folders", "--out", out, "--overwrite").exit_code == 0
    assert len(files_of(out)) == len(desk.flagged)
