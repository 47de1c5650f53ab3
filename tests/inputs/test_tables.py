"""Tables as people have them, each through the command line."""

from __future__ import annotations

import os
import shlex
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from noisyclean.base.files import read_json
from tests.inputs.conftest import LABELS, NAMES, Case, rows_of

PLAIN = rows_of()
QUOTED = "path,label,note\n" + "".join(f'{n},{c},"a, ""b""\nc"\n' for n, c in zip(NAMES, LABELS, strict=True))
EXCEL = "sep=;\r\n" + rows_of(";").replace("\n", "\r\n")
WITH_É = rows_of().replace("cat", "chät é")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(PLAIN.encode(), "12 rows, UTF-8, separated by ','", id="UTF-8"),
        pytest.param(WITH_É.encode("utf-8-sig"), "UTF-8 with BOM", id="UTF-8 with BOM"),
        pytest.param(WITH_É.encode("utf-16"), "UTF-16", id="UTF-16 with BOM"),
        pytest.param(WITH_É.encode("utf-16-be"), "UTF-16", id="UTF-16 big-endian without BOM"),
        pytest.param(WITH_É.encode("cp1252"), "cp1252", id="cp1252"),
        pytest.param(rows_of("\t").encode(), "separated by tab", id="TSV"),
        pytest.param(rows_of(";").encode(), "separated by ';'", id="semicolons"),
        pytest.param(rows_of("|").encode(), "separated by '|'", id="bars"),
        pytest.param(PLAIN.replace("\n", "\r\n").encode(), "12 rows", id="CRLF"),
        pytest.param(PLAIN.replace("\n", "\r").encode(), "12 rows", id="CR alone"),
        pytest.param(PLAIN.rstrip("\n").encode(), "12 rows", id="no line end at the end"),
        pytest.param(QUOTED.encode(), "12 rows", id="quotes, commas and line breaks in fields"),
        pytest.param(EXCEL.encode(), "separated by ';'", id="sep= line of Excel"),
        pytest.param(
            PLAIN.replace("path,label", "Image_Path , LABEL").encode(), "'Image_Path'", id="header in capitals"
        ),
        pytest.param(PLAIN.replace("path,label", "filename,target").encode(), "'target'", id="other usual names"),
        pytest.param(PLAIN.replace("\n", ",\n").encode(), "12 rows", id="a separator at the end of each row"),
        pytest.param(("\n" + PLAIN).encode(), "12 rows", id="a blank line before the header"),
        pytest.param(PLAIN.replace("cat", "NA").encode(), "2 classes in this order: NA, dog", id="NA is a label"),
        pytest.param(PLAIN.replace("cat", "null").encode(), "dog, null", id="null is a label"),
        pytest.param(
            PLAIN.replace("cat", "10").replace("dog", "9").encode(),
            "in this order: 9, 10",
            id="integers in number order",
        ),
        pytest.param(PLAIN.replace("cat", " cat ").encode(), "in this order: cat, dog", id="spaces around labels"),
        pytest.param(
            PLAIN.replace("cat", "é", 1).replace("cat", "e\N{COMBINING ACUTE ACCENT}").encode(),
            "2 classes",
            id="one label composed in two ways",
        ),
        pytest.param(PLAIN.replace("cat", "日本 🐈").encode(), "日本 🐈", id="labels of any script"),
    ],
)
def test_readable_tables(case: Case, content: bytes, said: str) -> None:
    done = case.check(case.table(content))
    assert done.exit_code == 0, done.stderr
    assert said in done.stderr
    assert done.json["num_images"] == 12
    assert [row["num_images"] for row in done.json["classes"]] == [6, 6]


@pytest.mark.parametrize(
    ("content", "exit_code", "said"),
    [
        pytest.param(b"", 3, "is empty", id="empty file"),
        pytest.param(b"path,label\n", 3, "has no rows", id="header alone"),
        pytest.param(b"\xff\x81\x8d\x90" * 9, 3, "the text is not UTF-8 or cp1252", id="no text at all"),
        pytest.param(rows_of().encode() + b"\x81\x8d", 3, "--encoding", id="undecodable bytes in the middle"),
        pytest.param(b"a,b\n1,2\n3,4\n5,6\n", 3, "no image and no label column among a, b", id="no usual names"),
        pytest.param(b"path,b\n00.png,cat\n", 3, "--label-column b", id="no label column: the command to type"),
        pytest.param(b"path,label\n00.png,cat,oh\n", 3, "row 2 has 3 cells, the header has 2", id="a row too long"),
        pytest.param(b'path,label\n00.png,"cat\n01.png,dog\n', 3, "unexpected end of data", id="a quote left open"),
        pytest.param(b"path,label\n00.png,cat\n01.png,cat\n", 3, "only one class (cat)", id="one class"),
        pytest.param(b"path,label\n../secret.png,cat\n00.png,dog\n", 3, "row 2: '../secret.png' leaves", id="escape"),
        pytest.param(b"path,label\nx.png,cat\ny.png,dog\n", 3, "none of the paths is a file", id="nothing found"),
        pytest.param(b"\x1f\x8b\x08\x00abc", 3, "is compressed", id="gzip"),
        pytest.param(b"\xd0\xcf\x11\xe0abc", 3, "old .xls kind", id="xls"),
        pytest.param(b"PK\x03\x04abc", 3, "zip archive", id="zip"),
        pytest.param(b"PAR1abc", 3, "damaged Parquet", id="damaged Parquet"),
    ],
)
def test_refused_tables(case: Case, content: bytes, exit_code: int, said: str) -> None:
    (case.root / "secret.png").write_bytes((case.images / "00.png").read_bytes())
    done = case.check(case.table(content))
    assert done.exit_code == exit_code
    assert said in done.stderr
    assert "error:" in done.stderr
    assert not done.stdout
    assert not (case.root / "run").exists()


@pytest.mark.parametrize(
    ("content", "said", "options"),
    [
        (
            PLAIN.replace("path,label", "my photo,kind"),
            "no image and no label column among my photo, kind",
            ("--image-column", "my photo", "--label-column", "kind"),
        ),
        (
            WITH_É.replace("path,label", "Path;Klasse").replace(",", ";").encode("cp1252"),
            "no label column among Path, Klasse",
            ("--label-column", "Klasse"),
        ),
    ],
    ids=["both", "label"],
)
def test_where_no_column_is_found_the_command_to_type_is_printed(
    case: Case, content: str | bytes, said: str, options: tuple[str, ...]
) -> None:
    table = case.table(content)
    done = case.check(table)
    assert said in done.stderr
    assert f"12 rows, {'cp1252' if isinstance(content, bytes) else 'UTF-8'}, separated by" in done.stderr
    assert all(f"0{row}.png" in done.stderr for row in range(3))
    before, _, command = done.stderr.rstrip().rpartition("next: ")
    assert shlex.join(options) in before
    words = shlex.split(command)
    asked = [str(case.images), str(table), "--out", str(case.root / "run"), "--dry-run", "--json"]
    assert words == ["noisyclean", "audit", *asked, *options]
    assert case.cli(*words[1:]).exit_code == 0


def test_an_unknown_column_or_encoding_is_a_usage_error(case: Case) -> None:
    table = case.table(PLAIN)
    for option, value in (("--label-column", "breed"), ("--group-column", "patient"), ("--encoding", "klingon")):
        done = case.check(table, option, value)
        assert done.exit_code == 2
        assert f"{option} {value}" in done.stderr


def test_the_encoding_can_be_told(case: Case) -> None:
    done = case.check(case.table(WITH_É.encode("latin-1")), "--encoding", "latin-1")
    assert done.exit_code == 0
    assert [row["name"] for row in done.json["classes"]] == ["chät é", "dog"]


def test_missing_things_are_counted_and_listed(case: Case) -> None:
    lines = PLAIN.splitlines()
    lines[3] = "nowhere.png,cat"
    lines[5] = "04.png,"
    lines[7] = ","
    lines[9] = ",dog"
    lines.insert(11, "")
    table = case.table("\n".join(lines))
    done = case.check(table, "--max-bad", "0.5")
    num_blank = done.json["input"]["problems"]["empty row"]
    assert f"{done.json['input']['num_rows'] - num_blank} rows" in done.json["input"]["table"]
    assert done.json["input"]["problems"] == {
        "file not found": 1,
        "no label": 1,
        "empty row": 2,
        "no image path": 1,
    }
    assert case.audit(table, "--max-bad", "0.5").exit_code == 0
    listed = pd.read_csv(case.root / "run" / "quarantine.csv", dtype=str, keep_default_na=False)
    assert listed[["row", "reason"]].to_numpy().tolist() == [
        ["4", "file not found"],
        ["6", "no label"],
        ["8", "empty row"],
        ["10", "no image path"],
        ["12", "empty row"],
    ]
    scores = pd.read_csv(case.root / "run" / "scores.csv", dtype=str, keep_default_na=False)
    assert scores["image_path"].tolist() == [
        n for i, n in enumerate(["00.png", "01.png", "nowhere.png", *NAMES[3:]]) if i not in (6, 8)
    ]
    assert read_json(case.root / "run" / "summary.json")["num_quarantined"] == len(listed)
    assert scores.loc[4, "given_label"] == ""
    assert scores.loc[2, "p_mislabeled"] == ""


def test_too_many_missing_files_stop_before_decoding(case: Case) -> None:
    table = case.table(PLAIN.replace("00.png", "a.png").replace("01.png", "b.png"))
    done = case.check(table)
    assert done.exit_code == 3
    assert "2 of 12 rows cannot be used; the first is row 2, 'a.png': file not found" in done.stderr
    assert "--max-bad 0.17" in done.stderr
    assert case.check(table, "--max-bad", "0.17").exit_code == 0


@pytest.mark.parametrize("prefix", ["D:\\cam\\", "/mnt/old/pc/", "//server/share/"])
def test_a_prefix_of_another_machine_is_advised_and_taken_off(case: Case, prefix: str) -> None:
    table = case.table(rows_of(names=tuple(prefix + name for name in NAMES)))
    refused = case.check(table)
    assert refused.exit_code == 3
    assert f"12 of 12 would be found without '{prefix}': add --strip-prefix" in refused.stderr
    done = case.check(table, "--strip-prefix", prefix)
    assert done.exit_code == 0
    assert done.json["num_unusable"] == 0


def test_a_prefix_no_path_has_is_a_usage_error(case: Case) -> None:
    done = case.check(case.table(PLAIN), "--strip-prefix", "C:\\")
    assert done.exit_code == 2
    assert "no path begins so" in done.stderr


def moved(images: Path, name: str) -> None:
    """Put the first picture under another name."""
    target = images / name
    target.parent.mkdir(parents=True, exist_ok=True)
    (images / "00.png").rename(target)


@pytest.mark.parametrize(
    ("on_disk", "in_table"),
    [
        pytest.param("sub/00.png", "sub\\00.png", id="Windows separators"),
        pytest.param("sub/deep/00.png", ".\\sub/deep\\00.png", id="mixed separators"),
        pytest.param(
            "a\\b.png",
            "a\\b.png",
            id="a literal backslash in a POSIX name",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has none"),
        ),
        pytest.param(
            "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png",
            "cafe\N{COMBINING ACUTE ACCENT}.png",
            id="NFC on disk, NFD in the table",
        ),
        pytest.param(
            "cafe\N{COMBINING ACUTE ACCENT}.png",
            "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png",
            id="NFD on disk, NFC in the table",
        ),
        pytest.param("Img.PNG", "img.png", id="other case"),
        pytest.param("00.png", " 00.png ", id="spaces around the path"),
        pytest.param("a, b.png", '"a, b.png"', id="a comma in the name"),
        pytest.param(
            "a\nb.png",
            '"a\nb.png"',
            id="a line break in the name",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows forbids it"),
        ),
        pytest.param("=1+1.png", "=1+1.png", id="a name that is a formula"),
        pytest.param("日本.png", "日本.png", id="any script"),
    ],
)
def test_spellings_of_a_path(case: Case, on_disk: str, in_table: str) -> None:
    moved(case.images, on_disk)
    is_found_as_written = (case.images / in_table.strip('" ')).exists()  # macOS and Windows take both for one name
    done = case.check(case.table(PLAIN.replace("00.png", in_table, 1)))
    assert done.exit_code == 0, done.stderr
    assert done.json["num_unusable"] == 0
    if (
        unicodedata.normalize("NFC", on_disk).casefold() == unicodedata.normalize("NFC", in_table).casefold()
        and not is_found_as_written
    ):
        assert "1 file names differ from the table in accents" in done.stderr


def test_absolute_paths_inside_images(case: Case) -> None:
    done = case.check(case.table(rows_of(names=tuple(str(case.images / name) for name in NAMES))))
    assert done.exit_code == 0
    assert done.json["num_images"] == 12


def test_paths_relative_to_the_table(case: Case) -> None:
    done = case.check(case.table(rows_of(names=tuple(f"images/{name}" for name in NAMES))))
    assert done.exit_code == 0
    assert f"relative to {case.root}" in done.stderr


def test_a_link_out_of_images_is_refused(case: Case) -> None:
    outside = case.root / "outside.png"
    (case.images / "00.png").rename(outside)
    (case.images / "00.png").symlink_to(outside)
    done = case.check(case.table(PLAIN))
    assert done.exit_code == 3
    assert "row 2: '00.png' leaves the images folder" in done.stderr
    assert f": it is {outside.resolve()}" in done.stderr


def test_equal_rows_are_merged(case: Case) -> None:
    done = case.check(case.table(PLAIN + "00.png,dog\n./01.png,cat\n"))
    assert done.exit_code == 0
    assert "2 rows repeated an image with the same label and were merged" in done.stderr
    assert done.json["num_images"] == 12


def test_a_picture_with_two_labels_in_the_table_is_a_conflict(case: Case) -> None:
    table = case.table(PLAIN + "00.png,cat\n")
    done = case.check(table)
    assert "1 images have two labels and are flagged as conflicts; the first is '00.png' in rows 2, 14" in done.stderr
    assert case.audit(table).exit_code == 0
    flagged = pd.read_csv(case.root / "run" / "flagged.csv", dtype=str, keep_default_na=False)
    first = flagged[["image_path", "given_label", "suggested_label", "issue_type"]].to_numpy().tolist()[0]
    assert first == ["00.png", "dog", "cat", "conflict"]


def test_equal_pictures_with_two_labels_are_a_conflict(case: Case) -> None:
    (case.images / "01.png").write_bytes((case.images / "00.png").read_bytes())
    assert case.audit(case.table(PLAIN)).exit_code == 0
    flagged = pd.read_csv(case.root / "run" / "flagged.csv", dtype=str, keep_default_na=False)
    first = flagged.iloc[:2]
    assert set(first["image_path"]) == {"00.png", "01.png"}
    assert (first["issue_type"] == "conflict").all()
    assert "the same picture, 01.png (row 3), is labelled 'cat'" in first["reason"].tolist()


LONG = "path,label,rater\n" + "".join(
    f"{name},{label},{rater}\n" for name, label in zip(NAMES, LABELS, strict=True) for rater in ("ann", "bob", "cem")
).replace("00.png,dog,cem", "00.png,cat,cem")
WIDE = "path,label_1,label_2,label_3\n" + "".join(
    f"{name},{label},{label},{'cat' if name == '00.png' else label}\n"
    for name, label in zip(NAMES, LABELS, strict=True)
)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        pytest.param(LONG, (), id="one row for each annotation"),
        pytest.param(LONG.replace("rater", "who"), ("--annotator-column", "who"), id="the column named"),
        pytest.param(WIDE, (), id="one column for each annotator"),
        pytest.param(WIDE.replace("label_", "by_"), ("--label-column", "by_1,by_2,by_3"), id="the columns named"),
    ],
)
def test_several_annotators(case: Case, content: str, options: tuple[str, ...]) -> None:
    done = case.check(case.table(content), *options)
    assert done.exit_code == 0, done.stderr
    agreement = done.json["input"]["agreement"]
    assert agreement["num_disputed"] == 1
    assert agreement["kappa"] == pytest.approx(0.888, abs=0.01)
    assert len(agreement["annotators"]) == 3
    assert "3 annotators: the majority is the label, kappa 0.89; 1 of 12 images are disputed" in done.stderr
    assert [row["num_images"] for row in done.json["classes"]] == [6, 6]


def test_disagreement_is_evidence(case: Case) -> None:
    assert case.audit(case.table(LONG), "--json").json["input"]["agreement"]["num_disputed"] == 1
    scores = pd.read_csv(case.root / "run" / "scores.csv")
    assert scores["annotator_disagreement"].round(3).tolist() == [0.333, *[0.0] * 11]


@pytest.mark.parametrize(("kind", "module"), [("parquet", "pyarrow"), ("xlsx", "openpyxl")])
def test_tables_that_are_no_text(case: Case, kind: str, module: str) -> None:
    pytest.importorskip(module)
    path = case.root / f"labels.{kind}"
    frame = pd.DataFrame({"path": [*NAMES, None], "label": [*(10 if c == "cat" else 9 for c in LABELS), None]})
    frame.to_parquet(path, index=False) if kind == "parquet" else frame.to_excel(path, index=False)
    done = case.check(path)
    assert done.exit_code == 0, done.stderr
    assert [row["name"] for row in done.json["classes"]] == ["9", "10"]
    assert "12 rows" in done.stderr


@pytest.mark.parametrize(("kind", "module"), [("parquet", "pyarrow"), ("xlsx", "openpyxl")])
def test_a_missing_extra_is_named(case: Case, monkeypatch: pytest.MonkeyPatch, kind: str, module: str) -> None:
    path = case.root / f"labels.{kind}"
    path.write_bytes(b"PAR1" if kind == "parquet" else b"PK\x03\x04")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    done = case.check(path)
    assert done.exit_code == 4
    assert f"pip install 'noisyclean[{kind}]'" in done.stderr


def test_a_table_that_is_a_pipe_is_refused(case: Case) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    pipe = case.root / "pipe.csv"
    os.mkfifo(pipe)
    done = case.check(pipe)
    assert done.exit_code == 3
    assert "is not a regular file" in done.stderr


def test_a_missing_table_or_folder(case: Case) -> None:
    assert "cannot be read" in case.check(case.root / "none.csv").stderr
    done = case.cli("audit", case.root / "none", case.table(PLAIN), "--out", case.root / "run")
    assert done.exit_code == 3
    assert "no such folder" in done.stderr


def test_odd_choices_are_pointed_out(case: Case) -> None:
    done = case.check(case.table(PLAIN.replace("cat", "Dog", 3).replace("cat", "DOG")))
    assert "classes that differ in case only are kept apart: DOG, Dog, dog" in done.stderr
    done = case.check(case.table(PLAIN.replace("cat", "05", 3).replace("cat", "5").replace("dog", "nan")))
    assert "classes that are the same number are kept apart: 05, 5" in done.stderr
    doubled = case.check(case.table(PLAIN.replace("path,label", "path,label,label").replace("g\n", "g,x\n")))
    assert "column 'label' is there more than once: the first is used" in doubled.stderr


def test_the_run_cannot_lie_in_images(case: Case) -> None:
    done = case.cli("audit", case.images, case.table(PLAIN), "--out", case.images / "run")
    assert done.exit_code == 2
    assert "lies inside IMAGES" in done.stderr


def test_a_dry_run_prints_the_command_without_it(case: Case) -> None:
    table = case.table(PLAIN)
    done = case.check(table, "--seed", "3", "--set", "probe.epochs=2")
    last = done.stderr.splitlines()[-1]
    told = f"noisyclean audit {case.images} {table} --out {case.root / 'run'}"
    assert last == f"next: {told} --seed 3 --set probe.epochs=2 --json"
    assert done.json["estimate"]["seconds"]["train"] >= 0
    assert done.json["estimate"]["output_bytes"]["prepare/images.npy"] == 3 * 12 * 16 * 16
    assert not (case.root / "run").exists()


def test_all_rows_that_cannot_be_used_are_listed_where_they_are_too_many(case: Case) -> None:
    table = case.table(rows_of() + "".join(f"none{index}.png,cat\n" for index in range(6)))
    checked = case.check(table)
    assert checked.exit_code == 3
    assert "quarantine.csv" not in checked.stderr
    stopped = case.audit(table)
    listed = case.root / "run" / "quarantine.csv"
    assert stopped.exit_code == 3
    assert f"{listed} lists the rows" in stopped.stderr
    assert pd.read_csv(listed)["image_path"].tolist() == [f"none{index}.png" for index in range(6)]
    table.write_text(rows_of())
    assert case.audit(table, "--overwrite").exit_code == 0
    assert not listed.exists()


def test_options_without_any_effect_are_pointed_out(case: Case) -> None:
    table = case.table(rows_of())
    assert "--unlabeled zzz: no image has this label" in case.check(table, "--unlabeled", "zzz").stderr
    refused = case.check(table, "--class-level", "1")
    assert refused.exit_code == 2
    assert "--class-level 1: " in refused.stderr


def test_one_file_spelled_in_two_ways_is_one_image(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the folder, absolute, in other case, and through a linked folder; IMAGES relative or absolute."""
    again = [f"{case.images / '00.png'},dog", "01.PNG,cat"]
    labels = case.table(PLAIN + "\n".join(again) + "\n")
    linked = case.root / "linked"
    linked.symlink_to(case.images)
    monkeypatch.chdir(case.root)
    for images in (case.images, Path("images"), linked, Path("linked")):
        done = case.cli("audit", images, labels, "--out", case.root / "run", "--dry-run", "--json")
        assert done.exit_code == 0, done.stderr
        assert "2 rows repeated an image with the same label and were merged" in done.stderr
        assert done.json["num_images"] == 12


def test_one_group_of_all_images_is_refused(case: Case) -> None:
    rows = "".join(f"{line},{'ward' if index else 'patient'}\n" for index, line in enumerate(PLAIN.splitlines()))
    done = case.audit(case.table(rows), "--group-column", "patient")
    assert done.exit_code == 3
    assert "column 'patient': all 12 images are one group" in done.stderr


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_picture_is_no_table(case: Case, kind: str) -> None:
    picture = case.root / "labels.csv"
    Image.new("RGB", (8, 8)).save(picture, kind)
    done = case.check(picture)
    assert done.exit_code == 3
    assert f"{picture}: is an image (" in done.stderr
    assert "--encoding" not in done.stderr
