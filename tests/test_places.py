"""Places where nothing can be written are refused before any work, in every command that writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run, Shapes


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


def test_a_place_that_cannot_be_made_is_the_machines(cli: Run, shapes: Shapes) -> None:
    refused = cli("audit", shapes.images, shapes.labels, "--out", "/proc/nowhere/run")
    assert refused.exit_code == 4
    assert "cannot be made here" in refused.stderr
