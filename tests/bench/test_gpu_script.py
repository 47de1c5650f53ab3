"""``docs/gpu.py``: a failed check is not done, and the same call continues."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "gpu.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_checks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_checks", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(codes: dict[str, str], *words: str) -> int:
        found = [script.Check(name, ("-c", code), "", after="bad" * (name == "last")) for name, code in codes.items()]
        monkeypatch.setattr(script, "checks", lambda *_: found)
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--data", str(tmp_path), "--out", str(tmp_path / "out"), *words])
        code: int = script.main()
        return code

    return run


GOOD, BAD = "print('{\"ece\": 0.5}')", "raise SystemExit(3)"


def test_a_failed_check_is_told_and_tried_again(
    call: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call({"bad": BAD, "good": GOOD, "last": GOOD}) == 1
    table = capsys.readouterr().out
    assert "ece 0.5000" in table
    assert "failed, see bad.log" in table
    assert not (tmp_path / "out" / "last.json").exists(), "it reads what the failed one did not write"
    assert call({"bad": GOOD, "good": GOOD, "last": GOOD}) == 75
    assert call({"bad": GOOD, "good": GOOD, "last": GOOD}) == 0
    assert not list((tmp_path / "out").glob("*.failed.json"))


def test_a_stopped_check_is_continued_and_its_seconds_added(call: Callable[..., int], tmp_path: Path) -> None:
    assert call({"good": "import time; time.sleep(60)"}, "--seconds", "1", "--least", "0") == 75
    assert call({"good": GOOD}) == 0
    assert json.loads((tmp_path / "out" / "good.json").read_text())["seconds"] >= 1


def test_every_check_has_a_name_and_a_wish(script: ModuleType, tmp_path: Path) -> None:
    found = script.checks(tmp_path, tmp_path, "cuda", False)
    names = [check.name for check in found]
    assert len(set(names)) == len(names)
    assert all(check.wanted for check in found)
    assert all(check.after in ("", *names) for check in found)
