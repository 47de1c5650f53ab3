"""Places where nothing can be written are refused before any work, in every command that writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisyclean.data.demo import write_digits
from noisyclean.pipeline.demo import RATE
from tests.conftest import QUICK, Run, Shapes


@pytest.mark.parametrize(
    ("words", "option", "is_folder"),
    [
        (("audit", "IMAGES", "LABELS"), "--out", True),
        (("audit", "IMAGES", "LABELS", "--out", "NEW"), "--cache", True),
        (("train", "IMAGES", "LABELS"), "--out", True),
        (("demo",), "--out", True),
        (("export", "RUN", "--to", "folders"), "--out", True),
        (("export", "RUN", "--to", "labelstudio"), "--out", True),
        (("export", "RUN", "--to", "xlsx"), "--out", False),
        (("export", "RUN", "--to", "onnx"), "--out", False),
        (("import-weights", "RUN/model/model.safetensors"), "--to", True),
        (("predict", "RUN/model", "IMAGES"), "--out", False),
        (("review", "RUN", "RUN/flagged.csv"), "--out", False),
        (("review", "RUN", "RUN/flagged.csv", "--out", "NEW"), "--to-folders", True),
        (("score", "RUN", "LABELS"), "--out", False),
        (("diff", "RUN", "RUN"), "--out", False),
        (("corrupt", "LABELS", "--kind", "symmetric", "--rate", "0.1"), "--out", False),
    ],
)
def test_a_wrong_place_is_a_usage_error(
    cli: Run, audited: tuple[Shapes, Path], tmp_path: Path, words: tuple[str, ...], option: str, is_folder: bool
) -> None:
    shapes, run = audited
    names = {"IMAGES": shapes.images, "LABELS": shapes.labels, "RUN": run, "NEW": tmp_path / "new"}
    typed = [str(names.get(word, word)).replace("RUN/", f"{run}/") for word in words]
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    wrong, there = (file, "a file") if is_folder else (folder, "a folder")
    refused = cli(*typed, option, wrong)
    assert refused.exit_code == 2
    assert f"{option} {wrong}: is {there}" in refused.stderr
    refused = cli(*typed, option, file / "below")
    assert refused.exit_code == 2
    assert f"{option} {file / 'below'}: {file} is a file" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert file.read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no /proc")
@pytest.mark.parametrize("option", ["--out", "--cache"])
def test_a_place_that_cannot_be_made_is_the_machines(cli: Run, shapes: Shapes, option: str) -> None:
    words = (*(() if option == "--out" else ("--out", shapes.root / "run")), option, "/proc/nowhere/run")
    refused = cli("audit", shapes.images, shapes.labels, *QUICK, *words)
    assert refused.exit_code == 4
    assert "/proc/nowhere/run" in refused.stderr
    assert "cannot be made here" in refused.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no /proc")
def test_a_file_that_has_no_place_is_the_machines_fault_too(cli: Run, shapes: Shapes) -> None:
    refused = cli("corrupt", shapes.labels, "--rate", "0.1", "--out", "/proc/nowhere/labels.csv")
    assert refused.exit_code == 4
    assert "/proc/nowhere: cannot be made here" in refused.stderr


@pytest.mark.parametrize("verb", ["audit", "train"])
@pytest.mark.parametrize("option", ["--cache", "NOISYCLEAN_CACHE_DIR"])
def test_images_are_never_written_to(
    cli: Run, shapes: Shapes, monkeypatch: pytest.MonkeyPatch, verb: str, option: str
) -> None:
    cache = shapes.images / "cache"
    words: tuple[object, ...] = (option, cache)
    if option != "--cache":
        monkeypatch.setenv(option, str(cache))
        words = ()
    refused = cli(verb, shapes.images, shapes.labels, "--out", shapes.root / "run", *words)
    assert refused.exit_code == 2
    assert f"{option} {cache}: lies inside IMAGES" in refused.stderr
    assert not cache.exists()
    assert not (shapes.root / "run").exists()


def test_a_demo_is_written_into_no_other_folder(cli: Run, tmp_path: Path) -> None:
    mine = tmp_path / "data" / "labels.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    for more in ((), ("--overwrite",)):
        refused = cli("demo", "--out", tmp_path, *more)
        assert refused.exit_code == 2
        assert f"--out {tmp_path}: is not empty and holds no noisyclean demo" in refused.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"


def test_a_demo_of_another_seed_is_refused_before_anything_is_written(cli: Run, tmp_path: Path) -> None:
    write_digits(tmp_path / "data", rate=RATE, seed=0)
    before = (tmp_path / "data" / "labels.csv").read_bytes()
    refused = cli("demo", "--out", tmp_path, "--seed", "1")
    assert refused.exit_code == 2
    assert "holds a demo of other labels" in refused.stderr
    assert (tmp_path / "data" / "labels.csv").read_bytes() == before
