"""Other systems' habits, forced here: the spawn start method, a cp1252 console, Windows paths, names without case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest

from noisyclean.data import paths as paths_module
from noisyclean.data.spelling import best_prefix, strip_prefix
from noisyclean.export.folders import safe_names
from tests.inputs.conftest import NAMES, Case, rows_of

SCRIPT = """
import multiprocessing
multiprocessing.set_start_method("spawn")
import noisyclean
noisyclean.audit({images!r}, {labels!r}, out={out!r}, preset="quick", size=16, set=("probe.epochs=1", "probe.batch=8"))
"""


def test_a_script_without_a_guarded_main_under_spawn(case: Case) -> None:
    script = case.root / "script.py"
    words = {"images": str(case.images), "labels": str(case.table(rows_of())), "out": str(case.root / "run")}
    script.write_text(SCRIPT.format(**words), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (case.root / "run" / "report.html").exists()


def test_decoding_needs_no_torch() -> None:
    modules = "noisyclean.data.decode, noisyclean.data.store, noisyclean.data.stream, noisyclean.data.ingest"
    script = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_console_of_cp1252(case: Case) -> None:
    table = case.table(rows_of().replace("cat", "日本 ✓"))
    words = ["audit", str(case.images), str(table), "--out", str(case.root / "run"), "--dry-run", "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-m", "noisyclean", *words], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in json.loads(done.stdout.decode("cp1252"))["classes"]] == ["dog", "日本 ✓"]


@pytest.mark.parametrize("style", ["plain", "drive", "share"])
def test_tables_written_on_windows(case: Case, style: str) -> None:
    folder = case.images / "sub"
    folder.mkdir()
    for name in NAMES:
        (case.images / name).rename(folder / name)
    base = {"plain": PureWindowsPath(), "drive": PureWindowsPath("D:/cam"), "share": PureWindowsPath("//nas/cam")}[
        style
    ]
    names = tuple(str(base / "sub" / name) for name in NAMES)
    assert "\\" in names[0]
    prefix = {"plain": (), "drive": ("--strip-prefix", "D:\\cam"), "share": ("--strip-prefix", "\\\\nas\\cam\\")}[style]
    done = case.check(case.table(rows_of(names=names)), *prefix)
    assert done.exit_code == 0, done.stderr
    assert done.json["num_unusable"] == 0


def test_paths_are_written_as_they_were_given(case: Case) -> None:
    (case.images / "sub").mkdir()
    (case.images / "00.png").rename(case.images / "sub" / "00.png")
    assert case.audit(case.table(rows_of().replace("00.png", "sub\\00.png"))).exit_code == 0
    assert "sub\\00.png,dog" in (case.root / "run" / "scores.csv").read_text(encoding="utf-8")


def test_two_spellings_of_one_file_are_one_image_where_case_does_not_matter(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths_module, "is_case_insensitive", lambda _: True)
    done = case.check(case.table(rows_of() + "00.PNG,dog\n"))
    assert done.exit_code == 0
    assert done.json["num_images"] == 12
    assert "1 rows repeated an image with the same label" in done.stderr


def test_a_name_that_two_files_could_mean_is_not_guessed(case: Case) -> None:
    twin = case.images / "00.PNG"
    if twin.exists():
        pytest.skip("this file system takes both for one name")
    twin.write_bytes((case.images / "00.png").read_bytes())
    done = case.check(case.table(rows_of().replace("00.png", "00.Png")))
    assert done.json["input"]["problems"] == {"file not found": 1}


def test_folder_names_every_system_allows() -> None:
    names = ("a/b", "a:b", "con", "Cat", "cat", "..", "x. ", "NUL.txt", "日本")
    safe = safe_names(names)
    assert list(safe) == list(names)
    assert len({name.casefold() for name in safe.values()}) == len(names)
    for name in safe.values():
        assert not set('<>:"/\\|?*') & set(name)
        assert name.strip(". ")
        assert name.partition(".")[0].casefold() not in ("con", "nul")


def test_prefixes_are_compared_as_windows_would() -> None:
    assert strip_prefix(["D:\\Cam\\a\\b.png", "d:/cam/c.png"], "D:\\cam\\") == ["a\\b.png", "c.png"]
    found = best_prefix(["D:\\cam\\a.png", "D:\\cam\\b.png", "D:\\cam\\z.png"], lambda path: path in ("a.png", "b.png"))
    assert found == ("D:\\cam\\", 2)


def test_library_calls_take_paths_and_text_alike(case: Case) -> None:
    import noisyclean

    table = case.table(rows_of())
    for images, labels in ((case.images, table), (str(case.images), str(table))):
        found = noisyclean.audit(images, labels, out=Path(case.root / "run"), dry_run=True)
        assert found["num_images"] == 12
