"""Rules that are not run decay."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import noisyclean

PACKAGE = Path(noisyclean.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {"cli"},
    {"bench"},
    {"pipeline"},
    {"pretrain", "detect", "robust", "report", "export"},
    {"engine"},
    {"data", "ops", "nn"},
    {"base"},
    {"types", "config", "errors", "registry", "ranges"},
)
ABOVE_ALL = {"__init__", "__main__"}
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 50


def room_of(path: Path) -> str:
    """First part of a module's path inside the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def layer_of(room: str) -> int:
    """0 for the top."""
    return next(index for index, rooms in enumerate(LAYERS) if room in rooms)


def rooms_imported(path: Path) -> set[str]:
    """Rooms of our own package that a file imports, wherever in it."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("noisyclean."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("noisyclean.")}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room in ABOVE_ALL:
        return
    for imported in rooms_imported(path) - {room}:
        if layer_of(imported) == len(LAYERS) - 1 == layer_of(room):
            continue
        assert layer_of(imported) > layer_of(room), f"{path.name} in {room} imports {imported}"


def test_every_room_has_a_layer() -> None:
    rooms = {room_of(path) for path in FILES} - ABOVE_ALL
    assert rooms <= set().union(*LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES_OF_A_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1
            assert length <= MOST_LINES_OF_A_FUNCTION, f"{path.name}: {node.name} has {length} lines"


def test_no_file_is_a_drawer() -> None:
    assert not {path.stem for path in FILES} & {"utils", "helpers", "misc", "common"}


@pytest.mark.parametrize(
    "pattern", [r"\.cuda\(", r"np\.random\.seed", r"random\.seed\(", r"pickle\.load", r"^\s*global "]
)
def test_forbidden_words(pattern: str) -> None:
    guilty = [path.name for path in FILES if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)]
    assert not guilty


def test_detection_core_reads_top_to_bottom_in_six_files() -> None:
    """From the command to the CSV: command, order, evidence, verdict, ranking, page."""
    for name in (
        "cli/audit.py",
        "pipeline/audit.py",
        "pipeline/learning.py",
        "pipeline/detecting.py",
        "pipeline/reporting.py",
        "report/flags.py",
    ):
        assert (PACKAGE / name).exists()
