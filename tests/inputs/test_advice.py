"""What a person is told when a table does not fit the images, each through the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from noisyclean.base.shell import shell_line
from noisyclean.data.spelling import shown
from tests.inputs.conftest import LABELS, NAMES, Case, rows_of


def with_prefix(prefix: str, names: tuple[str, ...] = NAMES) -> str:
    return rows_of(names=tuple(prefix + name for name in names))


def test_a_prefix_that_most_rows_could_do_without(case: Case) -> None:
    names = ("gone.png", *NAMES[1:])
    done = case.check(case.table(with_prefix("D:\\cam\\", names)))
    assert done.exit_code == 3
    assert "the first is 'D:\\cam\\gone.png'" in done.stderr
    assert "11 of 12 would be found without 'D:\\cam\\': add --strip-prefix" in done.stderr
    told = case.check(case.table(with_prefix("D:\\cam\\", names)), "--strip-prefix", "D:\\cam\\")
    assert told.exit_code == 0
    assert told.json["num_images"] == 11


def test_a_prefix_before_names_of_another_composition(case: Case) -> None:
    (case.images / "00.png").rename(case.images / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png")
    names = ("cafe\N{COMBINING ACUTE ACCENT}.png", *NAMES[1:])
    done = case.check(case.table(with_prefix("/mnt/nas/set/", names)))
    assert done.exit_code == 3
    assert "12 of 12 would be found without '/mnt/nas/set/'" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="these are absolute paths there and leave IMAGES")
def test_a_prefix_before_some_rows_only(case: Case) -> None:
    mixed = tuple(f"D:\\cam\\{name}" if row < 4 else name for row, name in enumerate(NAMES))
    table = case.table(rows_of(names=mixed))
    done = case.check(table)
    assert done.exit_code == 3
    assert "4 files are not found; 4 of 4 would be found without 'D:\\cam\\': add --strip-prefix" in done.stderr
    assert "4 of 12 rows cannot be used" in done.stderr
    assert case.check(table, "--strip-prefix", "D:\\cam\\").json["num_unusable"] == 0


def test_an_absolute_path_of_another_machine(case: Case) -> None:
    mixed = tuple(f"/mnt/nas/{name}" if row % 2 else name for row, name in enumerate(NAMES))
    done = case.check(case.table(rows_of(names=mixed)))
    assert done.exit_code == 3
    assert "row 3: '/mnt/nas/01.png' leaves the images folder" in done.stderr
    assert "6 of 12 would be found without '/mnt/nas/': add --strip-prefix /mnt/nas/" in done.stderr


def test_a_prefix_that_no_path_has(case: Case) -> None:
    done = case.check(case.table(with_prefix("D:\\cam\\")), "--strip-prefix", "E:\\")
    assert done.exit_code == 2
    assert "--strip-prefix E:\\: no path begins so" in done.stderr
    assert "The first path is 'D:\\cam\\00.png'" in done.stderr


def into_folders(case: Case, *folders: str) -> None:
    for row, name in enumerate(NAMES):
        target = case.images / folders[row % len(folders)] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (case.images / name).rename(target)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        pytest.param(("sub",), "12 of 12 would be found in", id="one folder down"),
        pytest.param(("a", "b", "c"), "write the folder before each name", id="spread over folders"),
    ],
)
def test_images_that_lie_deeper(case: Case, folders: tuple[str, ...], said: str) -> None:
    into_folders(case, *folders)
    done = case.check(case.table(rows_of()))
    assert done.exit_code == 3
    assert said in done.stderr


def test_names_without_their_ending(case: Case) -> None:
    done = case.check(case.table(rows_of(names=tuple(Path(name).stem for name in NAMES))))
    assert done.exit_code == 3
    assert "12 of 12 would be found with '.png' at their end" in done.stderr


@pytest.mark.parametrize(("encoding", "is_doubted"), [("shift-jis", True), ("utf-8", False)])
def test_a_guessed_encoding_is_doubted_where_no_path_is_found(case: Case, encoding: str, is_doubted: bool) -> None:
    done = case.check(case.table(with_prefix("日本/").encode(encoding)))
    assert done.exit_code == 3
    assert ("was read as cp1252, the last guess" in done.stderr) == is_doubted


def test_a_table_without_a_header(case: Case) -> None:
    rows = rows_of(";").partition("\n")[2]
    done = case.check(case.table(rows))
    assert done.exit_code == 3
    assert "this one looks like a row" in done.stderr
    assert "UTF-8, separated by ';'" in done.stderr
    header = done.stderr.rstrip().rpartition("Put a header above it: ")[2]
    assert case.check(case.table(f"{header}\n{rows}")).exit_code == 0


def test_a_column_for_each_annotator_under_other_names(case: Case) -> None:
    lines = [f"{name},{label},{label}" for name, label in zip(NAMES, LABELS, strict=True)]
    table = case.table("\n".join(["path,label_ann,label_bob", *lines]))
    done = case.check(table)
    assert done.exit_code == 3
    assert "--label-column label_ann,label_bob" in done.stderr
    told = case.check(table, "--label-column", "label_ann,label_bob")
    assert len(told.json["input"]["agreement"]["annotators"]) == 2


@pytest.mark.parametrize(
    ("cat", "is_doubted"), [("cat|dog", True), ("cat|cow", False), ("cat, small", False)], ids=["parts", "new", "comma"]
)
def test_several_labels_in_one_cell(case: Case, cat: str, is_doubted: bool) -> None:
    rows = [f'{name},"{label}"' for name, label in zip(NAMES, LABELS, strict=True)]
    rows[1], rows[3] = f'{NAMES[1]},"{cat}"', f'{NAMES[3]},"{cat}"'
    done = case.check(case.table("\n".join(["path,label", *rows])))
    assert done.exit_code == 0
    assert ("look like several labels in one cell" in done.stderr) == is_doubted


def test_a_message_shows_windows_paths_as_they_are() -> None:
    assert shown("D:\\cam\\a.png") == "'D:\\cam\\a.png'"
    assert shown("a\nb") == "'a\\nb'"


@pytest.mark.parametrize(
    ("words", "windows", "line"),
    [
        (["audit", "my images", "D:\\cam\\"], True, 'audit "my images" D:\\cam\\'),
        (["--strip-prefix", "D:\\my cam\\"], True, '--strip-prefix "D:\\my cam\\\\"'),
        (["audit", "my images", "D:\\cam\\"], False, "audit 'my images' 'D:\\cam\\'"),
    ],
)
def test_commands_are_quoted_for_the_systems_shell(words: list[str], windows: bool, line: str) -> None:
    assert shell_line(words, windows=windows) == line
