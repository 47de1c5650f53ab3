"""Folders as people have them, each through the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Result
from tests.inputs.conftest import NAMES, Case, rows_of


@pytest.fixture
def tree(case: Case) -> Case:
    """The pictures without a table; tests sort them into folders."""
    return case


def sort_into(case: Case, *patterns: str) -> None:
    """Put picture i into the folder ``patterns[i % len]``, below IMAGES."""
    for index, name in enumerate(NAMES):
        folder = case.images / patterns[index % len(patterns)]
        folder.mkdir(parents=True, exist_ok=True)
        (case.images / name).rename(folder / name)


def classes(done: Result) -> dict[str, int]:
    """Images of each class."""
    assert done.exit_code == 0, done.stderr
    return {row["name"]: row["num_images"] for row in done.json["classes"]}


def test_a_folder_per_class(tree: Case) -> None:
    sort_into(tree, "cat", "dog")
    done = tree.check(None)
    assert classes(done) == {"cat": 6, "dog": 6}
    assert "12 images in folders" in done.stderr


@pytest.mark.parametrize(
    "names", [("train", "val"), ("Train", "TEST"), ("train",), ("training/../train", "valid"), ("training", "dev")]
)
def test_splits_on_top(tree: Case, names: tuple[str, ...]) -> None:
    sort_into(tree, *(f"{split}/{label}" for split in names for label in ("cat", "dog")))
    done = tree.check(None)
    assert classes(done) == {"cat": 6, "dog": 6}
    assert "the top folders are splits" in done.stderr


def test_the_column_of_splits_is_said(case: Case) -> None:
    table = (
        rows_of().replace("path,label", "path,label,split").replace("cat\n", "cat,test\n").replace("dog\n", "dog,\n")
    )
    assert "splits from column 'split': '', 'test'" in case.check(case.table(table)).stderr


def test_a_split_that_lacks_a_class_shifts_nothing(tree: Case) -> None:
    sort_into(tree, "train/ant", "train/bee", "train/cat", "val/cat")
    assert classes(tree.check(None)) == {"ant": 3, "bee": 3, "cat": 6}


def test_splits_beside_classes_are_pointed_out(tree: Case) -> None:
    sort_into(tree, "train", "cat")
    done = tree.check(None)
    assert classes(done) == {"cat": 6, "train": 6}
    assert "train look like splits, but beside cat they are taken for classes" in done.stderr


def test_nested_folders_print_the_tree(tree: Case) -> None:
    sort_into(tree, "site1/cat", "site1/dog", "site2/cat", "site2/dog")
    done = tree.check(None)
    assert classes(done) == {"site1": 6, "site2": 6}
    assert "level 1 has 2 (site1, site2); level 2 has 2 (cat, dog); classes are level 1" in done.stderr
    assert "--class-level" in done.stderr
    assert classes(tree.check(None, "--class-level", "2")) == {"cat": 6, "dog": 6}


def test_the_class_level_counts_below_the_split(tree: Case) -> None:
    sort_into(tree, "train/x/cat", "train/x/dog", "val/y/cat", "val/y/dog")
    assert classes(tree.check(None, "--class-level", "2")) == {"cat": 6, "dog": 6}


@pytest.mark.parametrize("level", ["0", "5"])
def test_a_level_that_is_not_there(tree: Case, level: str) -> None:
    sort_into(tree, "cat", "dog")
    done = tree.check(None, "--class-level", level)
    assert done.exit_code == 2
    assert f"--class-level {level}: no image lies that deep" in done.stderr
    assert "level 1 has 2 (cat, dog)" in done.stderr


def test_hidden_and_system_folders_are_ignored(tree: Case) -> None:
    sort_into(tree, "cat", "dog")
    for folder in (".thumbnails", "__MACOSX", "@eaDir", "#recycle", "cat/.ipynb_checkpoints", "$RECYCLE.BIN"):
        (tree.images / folder).mkdir(parents=True)
        shutil.copy(tree.images / "cat" / "00.png", tree.images / folder / "copy.png")
    shutil.copy(tree.images / "cat" / "00.png", tree.images / "cat" / "._00.png")
    assert classes(tree.check(None)) == {"cat": 6, "dog": 6}


def test_names_may_begin_like_those_of_network_drives(tree: Case) -> None:
    sort_into(tree, "#tag", "@home")
    (tree.images / "#tag" / "00.png").rename(tree.images / "#tag" / "#2.png")
    (tree.images / "@home" / "01.png").rename(tree.images / "@home" / "@1.png")
    assert classes(tree.check(None)) == {"#tag": 6, "@home": 6}


def test_other_files_are_left_alone_and_counted(tree: Case) -> None:
    sort_into(tree, "cat", "dog")
    for name in ("notes.txt", "more.txt", "Thumbs.db", "README"):
        (tree.images / "cat" / name).write_text("")
    done = tree.check(None)
    assert classes(done) == {"cat": 6, "dog": 6}
    assert "files that are no images were left alone: 2 .txt" in done.stderr


def test_images_without_a_folder_have_no_label(tree: Case) -> None:
    sort_into(tree, "cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog", "cat", ".")
    done = tree.check(None)
    assert classes(done) == {"cat": 6, "dog": 5}
    assert done.json["num_unusable"] == 1
    assert "1 no label" in done.stderr


def test_unlabelled_images_are_used_only_as_told(tree: Case) -> None:
    sort_into(tree, "cat", "dog", "unlabeled")
    asked = tree.check(None)
    assert classes(asked) == {"cat": 4, "dog": 4, "unlabeled": 4}
    assert "if its images have no label: --unlabeled unlabeled" in asked.stderr
    told = tree.check(None, "--unlabeled", "unlabeled,unsorted")
    assert classes(told) == {"cat": 4, "dog": 4}
    assert told.json["input"]["problems"] == {"unlabelled, as told by --unlabeled": 4}


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        pytest.param((), "no folder per class with images in it", id="no folders"),
        pytest.param(("cat",), "only one class (cat)", id="one folder"),
    ],
)
def test_folders_that_are_no_classes(tree: Case, folders: tuple[str, ...], said: str) -> None:
    if folders:
        sort_into(tree, *folders)
    done = tree.check(None)
    assert done.exit_code == 3
    assert said in done.stderr


def test_a_linked_folder_outside_images_is_refused(tree: Case) -> None:
    sort_into(tree, "cat", "dog")
    outside = tree.root / "outside"
    (tree.images / "dog").rename(outside)
    (tree.images / "dog").symlink_to(outside)
    done = tree.check(None)
    assert done.exit_code == 3
    assert "error: 'dog/" in done.stderr, "a folder has no rows"
    assert "leaves the images folder" in done.stderr


def test_names_that_are_no_text_are_counted(tree: Case) -> None:
    sort_into(tree, "cat", "dog")
    odd = bytes(tree.images / "cat") + b"/caf\xe9.png"
    try:
        Path(odd.decode("utf-8", "surrogateescape")).write_bytes((tree.images / "cat" / "00.png").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("this file system keeps names as text")
    done = tree.check(None)
    assert classes(done) == {"cat": 6, "dog": 6}
    assert "with names that are not UTF-8" in done.stderr


def test_images_in_the_top_folder_alone_have_no_class(case: Case) -> None:
    (case.images / "sub").mkdir()
    (case.images / "00.png").rename(case.images / "sub" / "00.png")
    done = case.check(None)
    assert done.exit_code == 3
    assert "only one class (sub)" in done.stderr
    assert "11 images lie in no class folder" in done.stderr
    assert "label column" not in done.stderr
    assert "IMAGES/CLASS/image.jpg" in done.stderr
