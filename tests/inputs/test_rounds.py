"""Verdicts in, labels back, and the next round, each through the command line."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisyclean.base.files import sha256_file
from noisyclean.data.batches import NORMALISATION
from noisyclean.data.splits import HELD_OUT
from noisyclean.pipeline.moved import _moved
from noisyclean.pipeline.reuse import Matched, carry_record
from noisyclean.report.verdicts import Decision
from tests.conftest import QUICK, Result, Run, Shapes, make_shapes
from tests.inputs.conftest import LABELS, NAMES, Case, contents, rows_of


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shapes, Path]:
    """A first round, not to be written to: 240 shapes in a table as Excel writes it, a fifth of the labels wrong."""
    from typer.testing import CliRunner

    from noisyclean.cli.app import app

    shapes = make_shapes(tmp_path_factory.mktemp("first"), 240)
    rows = zip(shapes.names, shapes.given, strict=True)
    text = "image;label;site\r\n" + "".join(f'"{name}";{label};"a ""b""; é"\r\n' for name, label in rows)
    shapes.labels.write_bytes(text.encode("cp1252"))
    words = [str(word) for word in ("audit", shapes.images, shapes.labels, "--out", shapes.root / "run", *QUICK)]
    assert CliRunner().invoke(app, words).exit_code == 0
    return shapes, shapes.root / "run"


@dataclass(frozen=True)
class Round:
    """A copy of the first round, to be reviewed."""

    shapes: Shapes
    run: Path
    root: Path
    cli: Run

    @property
    def flagged(self) -> pd.DataFrame:
        """``flagged.csv`` as text."""
        return pd.read_csv(self.run / "flagged.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")

    @property
    def worst(self) -> list[dict[str, str]]:
        """Rows of ``flagged.csv``."""
        with (self.run / "flagged.csv").open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))

    @property
    def cleaned(self) -> Path:
        """Where the cleaned table goes."""
        return self.root / "labels.cleaned.csv"

    def write(
        self, rows: Sequence[Sequence[str]], name: str = "ann.csv", header: str = "image_path,verdict,reviewed_label"
    ) -> Path:
        """A verdict table."""
        path = self.root / name
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header.split(","), *rows])
        return path

    def review(self, *words: object) -> Result:
        """Merge into the cleaned table."""
        return self.cli("review", self.run, *words, "--out", self.cleaned, "--json")

    def changed(self) -> dict[str, tuple[str, str]]:
        """Labels before and after, of the rows that differ; everything else must be equal to the byte."""
        before, after = self.shapes.labels.read_bytes(), self.cleaned.read_bytes()
        old, new = (
            list(csv.reader(io.StringIO(text.decode("cp1252"), newline=""), delimiter=";")) for text in (before, after)
        )
        assert [(row[0], row[2]) for row in old] == [(row[0], row[2]) for row in new]
        labels = {line[1] for line in old} | {line[1] for line in new}
        blank = [text.decode("cp1252") for text in (before, after)]
        for label in labels - {"label"}:
            blank = [text.replace(f";{label};", ";?;") for text in blank]
        assert blank[0] == blank[1]
        return {a[0]: (a[1], b[1]) for a, b in zip(old, new, strict=True) if a != b}


@pytest.fixture
def round_(first: tuple[Shapes, Path], tmp_path: Path, cli: Run) -> Iterator[Round]:
    """One round to play with."""
    shapes, run = first
    shutil.copytree(run, tmp_path / "run")
    before = contents(shapes.images), sha256_file(shapes.labels)
    yield Round(shapes, tmp_path / "run", tmp_path, cli)
    assert (contents(shapes.images), sha256_file(shapes.labels)) == before


def test_verdicts_change_just_those_labels(round_: Round) -> None:
    paths = round_.flagged["image_path"].tolist()
    suggested = dict(zip(paths, round_.flagged["suggested_label"], strict=True))
    given = dict(zip(paths, round_.flagged["given_label"], strict=True))
    other = next(name for name in ("bar", "disc", "ring") if name not in (suggested[paths[1]], given[paths[1]]))
    verdicts = [
        (paths[0], "relabel", ""),
        (paths[1], "Relabel ", other),
        (paths[2], "keep", ""),
        (paths[3], "UNSURE", ""),
        (paths[4], "bad", ""),
        (paths[5], "", ""),
    ]
    done = round_.review(round_.write(verdicts))
    assert done.exit_code == 0, done.stderr
    assert round_.changed() == {paths[0]: (given[paths[0]], suggested[paths[0]]), paths[1]: (given[paths[1]], other)}
    counts = {name: done.json[f"num_{name}"] for name in ("kept", "relabelled", "unsure", "bad", "conflict", "changed")}
    assert counts == {"kept": 1, "relabelled": 2, "unsure": 1, "bad": 1, "conflict": 0, "changed": 2}
    assert done.stderr.splitlines()[-1].startswith("next: noisyclean audit ")


def test_what_a_reviewer_saw_is_what_was_accepted(round_: Round) -> None:
    """The run may have been done again since, and suggest another class by now."""
    row, other_row = round_.worst[:2]
    seen = next(name for name in ("bar", "disc", "ring") if name not in (row["given_label"], row["suggested_label"]))
    damaged = "no class"
    cells = [(row["image_path"], seen.upper(), "relabel"), (other_row["image_path"], damaged, "relabel")]
    done = round_.review(round_.write(cells, header="image_path,suggested_label,verdict"))
    assert done.exit_code == 0, done.stderr
    assert round_.changed() == {
        row["image_path"]: (row["given_label"], seen),
        other_row["image_path"]: (other_row["given_label"], other_row["suggested_label"]),
    }


def as_excel_writes(frame: pd.DataFrame) -> bytes:
    """BOM, semicolons, CRLF; columns dropped and in another order; words in capitals."""
    frame = frame[["verdict", "suggested_label", "image_path", "reviewed_label", "given_label"]]
    return frame.to_csv(index=False, sep=";", lineterminator="\r\n").encode("utf-8-sig")


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(as_excel_writes, id="Excel, UTF-8"),
        pytest.param(lambda frame: frame.to_csv(index=False, sep=";").encode("cp1252"), id="Excel, ANSI"),
        pytest.param(lambda frame: frame.to_csv(index=False, sep="\t").encode("utf-16"), id="Excel, Unicode text"),
        pytest.param(lambda frame: b"sep=;\r\n" + frame.to_csv(index=False, sep=";").encode(), id="sep= line"),
        pytest.param(lambda frame: frame.to_csv(index=False, quoting=csv.QUOTE_ALL).encode(), id="everything quoted"),
        pytest.param(
            lambda frame: frame.rename(columns=str.upper).to_csv(index=False).encode(), id="header in capitals"
        ),
    ],
)
def test_our_table_after_a_spreadsheet(round_: Round, rewrite: object) -> None:
    assert callable(rewrite)
    frame = round_.flagged
    frame.loc[:9, "verdict"] = "relabel"
    path = round_.root / "flagged (1).csv"
    path.write_bytes(rewrite(frame))
    done = round_.review(path)
    assert done.exit_code == 0, done.stderr
    expected = {
        row["image_path"]: (row["given_label"], row["suggested_label"]) for _, row in frame.iloc[:10].iterrows()
    }
    assert round_.changed() == expected


def test_the_verdicts_the_page_downloads(round_: Round) -> None:
    cells = round_.flagged.loc[:1, ["image_path", "given_label", "suggested_label"]].to_numpy().tolist()
    lines = [",".join(f'"{cell}"' for cell in [*row, "relabel", ""]) for row in cells]
    text = "\ufeffimage_path,given_label,suggested_label,verdict,reviewed_label\n" + "\n".join(lines) + "\n"
    path = round_.root / "verdicts.csv"
    path.write_text(text, encoding="utf-8")
    assert round_.review(path).json["num_changed"] == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(("{0}", "wrong", ""), "verdict 'wrong' is unknown", id="another word"),
        pytest.param(("{0}", "relable", ""), "did you mean relabel?", id="a slip"),
        pytest.param(("{0}", "relabel", "dics"), "did you mean 'disc'?", id="a label with a slip"),
        pytest.param(("{0}", "relabel", "wolf"), "label 'wolf' is no class of the run", id="a new label"),
        pytest.param(("nowhere.png", "keep", ""), "image 'nowhere.png' is not in the run", id="a strange image"),
        pytest.param(("{0}", "keep", "{suggested}"), "verdict keep, but reviewed_label is", id="a contradiction"),
    ],
)
def test_what_cannot_be_understood_names_the_row(round_: Round, row: tuple[str, ...], said: str) -> None:
    worst = round_.worst
    bad = [cell.format(worst[0]["image_path"], suggested=worst[0]["suggested_label"]) for cell in row]
    path = round_.write([(worst[1]["image_path"], "keep", ""), bad])
    done = round_.review(path)
    assert done.exit_code == 3
    assert f"row 3: {said}" in done.stderr or ("row 3: " in done.stderr and said in done.stderr)
    assert "Nothing was merged" in done.stderr
    assert not round_.cleaned.exists()
    assert not (round_.run / "verdicts.log.csv").exists()


def test_new_labels_where_they_are_allowed(round_: Round) -> None:
    path = round_.worst[0]["image_path"]
    done = round_.review(round_.write([(path, "relabel", "wolf")]), "--allow-new-labels")
    assert done.exit_code == 0
    assert round_.changed()[path][1] == "wolf"


def test_a_label_the_encoding_lacks_is_refused(round_: Round) -> None:
    path = round_.worst[0]["image_path"]
    done = round_.review(round_.write([(path, "relabel", "狼")]), "--allow-new-labels")
    assert done.exit_code == 3
    assert "cannot be written in cp1252" in done.stderr
    assert not round_.cleaned.exists()


def test_a_label_typed_into_an_empty_row_is_a_relabel(round_: Round) -> None:
    row = round_.worst[0]
    done = round_.review(round_.write([(row["image_path"], "", row["suggested_label"].upper())]))
    assert done.json["num_relabelled"] == 1


@pytest.mark.parametrize("missing", ["image_path", "verdict"])
def test_a_table_without_the_columns(round_: Round, missing: str) -> None:
    header = "image_path,verdict,reviewed_label".replace(missing, "something")
    done = round_.review(round_.write([("000.png", "keep", "")], header=header))
    assert done.exit_code == 3
    assert f"has no column {missing}" in done.stderr


def test_verdicts_of_another_run_are_noticed(round_: Round) -> None:
    row = round_.worst[0]
    path = round_.write([(row["image_path"], "keep", row["suggested_label"])], header="image_path,verdict,given_label")
    done = round_.review(path)
    assert done.exit_code == 3
    assert "are these verdicts of another run?" in done.stderr


def test_reviewers_who_disagree_are_reported(round_: Round) -> None:
    paths = round_.flagged["image_path"].tolist()
    ann = round_.write([(paths[0], "relabel", ""), (paths[1], "relabel", ""), (paths[2], "unsure", "")], "ann.csv")
    bob = round_.write([(paths[0], "keep", ""), (paths[1], "relabel", ""), (paths[2], "relabel", "")], "bob.csv")
    done = round_.review(ann, bob)
    assert done.exit_code == 0
    assert "reviewers disagree on 1 images" in done.stderr
    assert set(round_.changed()) == {paths[1], paths[2]}
    trail = pd.read_csv(round_.run / "verdicts.log.csv", dtype=str, keep_default_na=False)
    assert trail.loc[trail["image_path"] == paths[0], "outcome"].tolist() == ["conflict", "conflict"]
    assert trail["reviewer"].tolist() == ["ann"] * 3 + ["bob"] * 3


def test_reviews_add_up_and_the_trail_only_grows(round_: Round) -> None:
    paths = round_.flagged["image_path"].tolist()
    ann = round_.write([(paths[0], "relabel", "")], "ann.csv")
    assert round_.review(ann).json["num_new_verdicts"] == 1
    once = (round_.run / "verdicts.log.csv").read_bytes()
    assert round_.review(ann).json["num_new_verdicts"] == 0
    assert (round_.run / "verdicts.log.csv").read_bytes() == once
    bob = round_.write([(paths[1], "relabel", "")], "bob.csv")
    round_.review(bob)
    assert set(round_.changed()) == {paths[0], paths[1]}
    assert (round_.run / "verdicts.log.csv").read_bytes().startswith(once)
    round_.review(round_.write([(paths[0], "keep", "")], "ann.csv"))
    assert set(round_.changed()) == {paths[1]}


def test_verdicts_of_earlier_calls_are_named_and_can_be_withdrawn(round_: Round) -> None:
    path, other = round_.flagged["image_path"].tolist()[:2]
    round_.review(round_.write([(path, "relabel", ""), (other, "relabel", "")], "ann.csv"))
    done = round_.review(round_.write([(path, "keep", "")], "bob.csv"))
    assert done.json["num_earlier_verdicts"] == 2
    assert "2 verdicts of earlier calls count too (2 of ann)" in done.stderr
    assert "ann says relabel" in done.stderr
    assert "bob says keep" in done.stderr
    empty = round_.review(round_.write([(path, "", "")], "cy.csv"))
    assert "3 verdicts of earlier calls count too (2 of ann, 1 of bob)" in empty.stderr
    assert "ann says relabel" in empty.stderr
    again = round_.review(round_.write([(path, "unsure", "")], "ann.csv"), round_.root / "bob.csv")
    assert (again.json["num_conflict"], again.json["num_kept"]) == (0, 1)
    assert again.json["num_earlier_verdicts"] == 1
    (round_.run / "verdicts.log.csv").rename(round_.root / "withdrawn.csv")
    assert "earlier calls" not in round_.review(round_.root / "bob.csv").stderr.split("merged")[0]


def test_a_new_label_of_an_earlier_call_needs_the_same_permission(round_: Round) -> None:
    path, other = round_.flagged["image_path"].tolist()[:2]
    assert round_.review(round_.write([(path, "relabel", "star")], "ann.csv"), "--allow-new-labels").exit_code == 0
    before = round_.cleaned.read_bytes()
    bob = round_.write([(other, "keep", "")], "bob.csv")
    refused = round_.review(bob)
    assert refused.exit_code == 3
    assert f"ann relabelled {path} as 'star'" in refused.stderr
    assert round_.cleaned.read_bytes() == before
    assert round_.review(bob, "--allow-new-labels").exit_code == 0
    assert round_.changed()[path][1] == "star"


def test_verdicts_do_not_count_for_what_overwrites_their_run(case: Case) -> None:
    labels, out = case.table(rows_of()), case.root / "cleaned.csv"
    assert case.audit(labels).exit_code == 0
    words = ("review", case.root / "run", case.table("image_path,verdict\n03.png,keep\n", "ann.csv"), "--out", out)
    assert case.cli(*words).exit_code == 0
    trail = (case.root / "run" / "verdicts.log.csv").read_bytes()
    other = case.table(rows_of().replace("03.png,cat", "03.png,dog"), "other.csv")
    said = case.audit(other, "--overwrite").stderr
    assert "verdicts.log.csv: is of the run that is overwritten; it is kept as verdicts.log.earlier.csv" in said
    assert (case.root / "run" / "verdicts.log.earlier.csv").read_bytes() == trail
    bob = case.table("image_path,verdict\n04.png,keep\n", "bob.csv")
    refused = case.cli("review", case.root / "run", bob, "--out", out)
    assert refused.exit_code == 2
    assert "is no earlier result" in refused.stderr
    done = case.cli("review", case.root / "run", bob, "--out", case.root / "other.cleaned.csv", "--json")
    assert (done.json["num_earlier_verdicts"], done.json["num_changed"]) == (0, 0)


def test_what_review_will_not_overwrite(round_: Round) -> None:
    verdicts = round_.write([(round_.worst[0]["image_path"], "keep", "")])
    same = round_.cli("review", round_.run, verdicts, "--out", round_.shapes.labels)
    assert same.exit_code == 2
    assert "--out is the input table" in same.stderr
    inside = round_.cli("review", round_.run, verdicts, "--out", round_.shapes.images / "x.csv")
    assert inside.exit_code == 2
    round_.cleaned.write_text("mine")
    refused = round_.review(verdicts)
    assert refused.exit_code == 2
    assert "is no earlier result" in refused.stderr
    assert round_.review(verdicts, "--overwrite").exit_code == 0
    assert round_.review(verdicts).exit_code == 0


def test_a_table_that_changed_since_is_refused(round_: Round) -> None:
    original = round_.shapes.labels.read_bytes()
    verdicts = round_.write([(round_.worst[0]["image_path"], "relabel", "")])
    try:
        round_.shapes.labels.write_bytes(original + b"\r\n")
        refused = round_.review(verdicts)
        assert refused.exit_code == 2
        assert "changed since the audit" in refused.stderr
        assert round_.review(verdicts, "--labels", round_.shapes.labels).exit_code == 0
    finally:
        round_.shapes.labels.write_bytes(original)


def test_a_table_saved_anew_is_audited_again_in_a_moment_and_reviewed(round_: Round) -> None:
    labels, original = round_.shapes.labels, round_.shapes.labels.read_bytes()
    verdicts = round_.write([(round_.worst[0]["image_path"], "relabel", "")])
    try:
        labels.write_bytes(original.replace(b"\r\n", b"\n").replace(b'"a ""b""; \xe9"', b"moved"))
        assert round_.review(verdicts).exit_code == 2
        again = round_.cli("audit", round_.shapes.images, labels, "--out", round_.run, *QUICK)
        assert "report: again, because carried columns changed" in again.stderr
        assert "probe 1 of" not in again.stderr
        assert set(round_.flagged["site"]) == {"moved"}
        assert round_.review(verdicts).exit_code == 0
    finally:
        labels.write_bytes(original)


def test_an_unfinished_run_is_refused(round_: Round) -> None:
    (round_.run / "summary.json").unlink()
    done = round_.review(round_.write([]))
    assert done.exit_code == 2
    assert "is not finished" in done.stderr


def test_a_folder_per_class_of_links(round_: Round) -> None:
    row = round_.worst[0]
    worse = round_.worst[1]["image_path"]
    verdicts = round_.write([(row["image_path"], "relabel", ""), (worse, "bad", "")])
    tree = round_.root / "sorted"
    assert round_.review(verdicts, "--to-folders", tree).exit_code == 0
    placed = {path.name: path.parent.name for path in tree.rglob("*.png")}
    given = dict(zip(round_.shapes.names, round_.shapes.given, strict=True))
    assert placed == {name: label for name, label in given.items() if name != worse} | {
        row["image_path"]: row["suggested_label"]
    }
    moves = pd.read_csv(tree / "moves.csv", dtype=str, keep_default_na=False)
    assert moves.to_numpy().tolist() == [
        [
            row["image_path"],
            row["given_label"],
            row["suggested_label"],
            f"{row['suggested_label']}/{row['image_path']}",
        ],
        [worse, given[worse], "", ""],
    ]
    assert round_.cli("audit", tree, "--out", round_.root / "x", "--dry-run").exit_code == 0
    again = round_.review(verdicts, "--to-folders", tree)
    assert again.exit_code == 2
    assert "is not empty" in again.stderr


def test_a_class_whose_name_no_folder_can_have_is_told(round_: Round) -> None:
    path, tree = round_.worst[0]["image_path"], round_.root / "renamed"
    verdicts = round_.write([(path, "relabel", "disc/half")])
    done = round_.review(verdicts, "--to-folders", tree, "--allow-new-labels")
    assert done.exit_code == 0, done.stderr
    assert (tree / "disc_half" / path).is_file()
    assert "'disc/half' is disc_half" in done.stderr
    assert "'disc' is" not in done.stderr


def test_a_table_without_a_verdict_is_pointed_out(round_: Round) -> None:
    done = round_.review(round_.run / "flagged.csv")
    assert done.exit_code == 0
    assert "no row has a verdict" in done.stderr
    assert not round_.changed()


def test_folders_reviewed(tmp_path: Path, cli: Run) -> None:
    shapes = make_shapes(tmp_path / "shapes", 60)
    tree = tmp_path / "tree"
    for name, label in zip(shapes.names, shapes.given, strict=True):
        (tree / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes.images / name, tree / label / name)
    run, out = tmp_path / "run", tmp_path / "review" / "labels.csv"
    quick = ("--preset", "quick", "--set", "probe.epochs=1", "--set", "probe.batch=16")
    assert cli("audit", tree, "--out", run, *quick).exit_code == 0
    before = contents(tree)
    scores = pd.read_csv(run / "scores.csv", dtype=str)
    path, given = scores.loc[0, ["image_path", "given_label"]]
    other = next(name for name in ("bar", "disc") if name != given)
    (tmp_path / "ann.csv").write_text(f"image_path,verdict,reviewed_label\n{path},relabel,{other}\n")
    words = ("review", run, tmp_path / "ann.csv", "--out", out)
    assert cli(*words).exit_code == 0
    cleaned = pd.read_csv(out, dtype=str)
    assert cleaned["path"].tolist() == scores["image_path"].tolist()
    assert (cleaned["label"] != scores["given_label"]).tolist() == [True] + [False] * 59
    moves = pd.read_csv(out.parent / "moves.csv", dtype=str)
    assert moves.to_numpy().tolist() == [[path, given, other]]
    assert cli(*words).exit_code == 0
    (out.parent / "moves.csv").write_text("mine")
    refused = cli(*words)
    assert refused.exit_code == 2
    assert "moves.csv: is there already" in refused.stderr
    assert (out.parent / "moves.csv").read_text() == "mine"
    assert contents(tree) == before


def test_folders_reviewed_keep_their_split_and_what_has_no_label(case: Case) -> None:
    for index, name in enumerate(NAMES):
        folder = case.images / ("test" if index > 8 else "train") / ("todo" if index == 0 else LABELS[index])
        folder.mkdir(parents=True, exist_ok=True)
        (case.images / name).rename(folder / name)
    assert case.audit(None, "--unlabeled", "todo").exit_code == 0
    verdicts = case.table("image_path,verdict,reviewed_label\ntrain/dog/02.png,relabel,cat\n", "ann.csv")
    cleaned = case.root / "cleaned.csv"
    done = case.cli("review", case.root / "run", verdicts, "--out", cleaned)
    assert done.exit_code == 0, done.stderr
    table = pd.read_csv(cleaned, dtype=str).set_index("path")
    assert table["split"].tolist() == [path.split("/")[0] for path in table.index]
    assert table.loc["train/todo/00.png", "label"] == "todo"
    assert table.loc["train/dog/02.png", "label"] == "cat"
    words = (case.images, cleaned, "--reuse", case.root / "run", "--out", case.root / "run-2", "--dry-run")
    again = case.cli("audit", *words)
    assert again.exit_code == 0, again.stderr
    assert "1 unlabelled, as told by --unlabeled" in again.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems write names in one form")
def test_a_relabelled_image_is_relabelled_in_every_spelling_of_its_path(case: Case) -> None:
    composed, decomposed = "caf\u00e9.png", "cafe\u0301.png"
    (case.images / "00.png").rename(case.images / composed)
    names = (composed, *NAMES[1:])
    labels = case.table(rows_of(names=names) + f"{decomposed},{LABELS[0]}\n")
    assert case.audit(labels).exit_code == 0
    verdicts = case.table(f"image_path,verdict,reviewed_label\n{composed},relabel,cat\n", "ann.csv")
    assert case.cli("review", case.root / "run", verdicts, "--out", case.root / "cleaned.csv").exit_code == 0
    lines = (case.root / "cleaned.csv").read_text().splitlines()
    assert [line for line in lines if line.startswith("caf")] == [f"{composed},cat", f"{decomposed},cat"]


def test_the_next_round(round_: Round) -> None:
    frame = round_.flagged
    frame.loc[:, "verdict"] = ["relabel" if index % 3 else "keep" for index in range(len(frame))]
    frame.loc[3, "verdict"] = "bad"
    frame = frame.iloc[:5]
    verdicts = round_.write(frame[["image_path", "verdict", "reviewed_label"]].to_numpy().tolist())
    assert round_.review(verdicts).exit_code == 0
    words = (round_.shapes.images, round_.cleaned, "--reuse", round_.run, "--out", round_.root / "run-2", "--json")
    done = round_.cli("audit", *words)
    assert done.exit_code == 0, done.stderr
    assert "as in" in done.stderr
    assert "augment natural" in done.stderr
    assert "0 images decoded, 239 were there already" in done.stderr
    assert "probe 1 of" not in done.stderr
    since = done.json["since"]
    assert since["num_verified"] == 4
    assert since["num_labels_changed"] == 3
    assert since["num_new_images"] == 0
    scores = pd.read_csv(round_.root / "run-2" / "scores.csv", dtype=str, keep_default_na=False)
    verified = scores[scores["image_path"].isin(frame["image_path"].drop(3))]
    assert (verified["flagged"] == "false").all()
    assert (verified["p_mislabeled"] == "0").all()
    bad = scores[scores["image_path"] == frame.loc[3, "image_path"]].iloc[0]
    assert bad["p_mislabeled"] == ""
    assert (round_.root / "run-2" / "train-probe" / "net-0.safetensors").exists()
    held_out = [np.load(root / "train-probe" / "net-0.npz")[HELD_OUT] for root in (round_.run, round_.root / "run-2")]
    assert held_out[0].any()
    gone = round_.shapes.names.index(str(frame.loc[3, "image_path"]))
    assert (held_out[1] == np.delete(held_out[0], gone)).all(), "the nets learnt from the others"
    assert round_.cli("audit", *words).json == done.json
    third = round_.cli("audit", *words[:3], round_.root / "run-2", "--out", round_.root / "run-3", "--json")
    assert third.exit_code == 0, third.stderr
    assert third.json["since"]["num_verified"] == 4
    settled = round_.write([(verified.iloc[0]["image_path"], "relabel", "")])
    refused = round_.cli("review", round_.root / "run-2", settled, "--out", round_.root / "again.csv")
    assert refused.exit_code == 3
    assert "row 2: verdict relabel without reviewed_label, and the run suggests no other label" in refused.stderr


def test_verdicts_follow_images_that_moved(round_: Round) -> None:
    """Into the folders that review itself makes, or under other names, also from round to round."""
    keep, bad, *moved = (row["image_path"] for row in round_.worst[:5])
    verdicts = [(keep, "keep", ""), (bad, "bad", ""), *((path, "relabel", "") for path in moved)]
    tree, second = round_.root / "sorted", round_.root / "run-2"
    assert round_.review(round_.write(verdicts), "--to-folders", tree).exit_code == 0
    done = round_.cli("audit", tree, "--reuse", round_.run, "--out", second, "--json")
    assert done.exit_code == 0, done.stderr
    assert "4 labels are verified, 0 images are bad" in done.stderr
    assert "1 more images are not in this table" in done.stderr, "the bad one is in no folder"
    assert done.json["since"]["num_verified"] == 4
    third = round_.root / "renamed"
    rows = [(path.name, path.parent.name) for path in sorted(tree.rglob("*.png"))]
    third.mkdir()
    for name, _ in rows:
        shutil.copyfile(round_.shapes.images / name, third / f"new-{name}")
    shutil.copyfile(round_.shapes.images / bad, third / "new-bad.png")
    (third / "no file.png").mkdir()
    table = round_.write([*((f"new-{name}", label) for name, label in rows)], "t.csv", header="path,label")
    done = round_.cli("audit", third, table, "--reuse", second, "--out", round_.root / "run-3")
    assert "4 labels are verified" in done.stderr, done.stderr
    table = round_.write(
        [*((f"new-{name}", label) for name, label in rows), ("new-bad.png", "bar"), ("no file.png", "bar")],
        "t.csv",
        "path,label",
    )
    done = round_.cli("audit", third, table, "--reuse", round_.run, "--out", round_.root / "run-4", "--dry-run")
    assert "4 labels are verified, 1 images are bad" in done.stderr, done.stderr


def test_a_verdict_does_not_stay_with_a_path_that_holds_another_picture(round_: Round) -> None:
    keep, bad, _, other = (row["image_path"] for row in round_.worst[:4])
    assert round_.review(round_.write([(keep, "keep", ""), (bad, "bad", "")])).exit_code == 0
    images, rounds = round_.root / "images", [round_.root / f"run-{number}" for number in (2, 3)]
    shutil.copytree(round_.shapes.images, images)
    shutil.copyfile(images / other, images / bad)
    done = round_.cli("audit", images, round_.cleaned, "--reuse", round_.run, "--out", rounds[0])
    assert done.exit_code == 0, done.stderr
    assert "1 labels are verified, 0 images are bad" in done.stderr
    assert "1 files hold another picture now" in done.stderr
    done = round_.cli("audit", images, round_.cleaned, "--reuse", rounds[0], "--out", rounds[1], "--dry-run")
    assert "1 labels are verified, 0 images are bad" in done.stderr, "nor does it come back in a later round"


@pytest.mark.parametrize("bad_is_first", [True, False])
def test_verdicts_on_copies_that_moved_stay_apart(bad_is_first: bool) -> None:
    """Of two files with the same content the one whose label was decided goes where that label is."""
    content = {"a.png": "same", "b.png": "same"}
    decisions = {"a.png": Decision("bad"), "b.png": Decision("kept", "cat")}
    gone = ["a.png", "b.png"] if bad_is_first else ["b.png", "a.png"]
    assert _moved(gone, content, {"cat/b.png": "same"}, {"cat/b.png": "cat"}, decisions) == {"b.png": "cat/b.png"}
    label_of = {"x.png": "dog", "cat/b.png": "cat"}
    both = _moved(gone, content, dict.fromkeys(label_of, "same"), label_of, decisions)
    assert both == {"a.png": "x.png", "b.png": "cat/b.png"}


def test_new_images_were_not_held_out_by_chance() -> None:
    record = {name: np.zeros((1, 4)) for name in ("loss_EN", "margin_EN")}
    record |= {name: np.zeros((4, 2)) for name in ("log_p_NC", "z_ND")}
    record[HELD_OUT] = np.asarray([False, True, False, False])
    matched = Matched(np.asarray([1, 3, -1]), np.asarray([False, False, True]), np.zeros(3, dtype=bool))
    fresh = {name: np.zeros((1, 2)) for name in ("log_p_NC", "z_ND")}
    assert carry_record(record, matched, np.zeros(3, dtype=np.int64), fresh)[HELD_OUT].tolist() == [True, False, False]
    del record[HELD_OUT]
    assert HELD_OUT not in carry_record(record, matched, np.zeros(3, dtype=np.int64), fresh)


def test_a_round_is_not_continued_without_its_verdicts(round_: Round) -> None:
    assert round_.review(round_.write([(round_.worst[0]["image_path"], "keep", "")])).exit_code == 0
    words = ("audit", round_.shapes.images, round_.cleaned, "--out", round_.root / "run-2")
    assert round_.cli(*words, "--reuse", round_.run).exit_code == 0
    refused = round_.cli(*words, *QUICK)
    assert refused.exit_code == 2
    assert "holds a run of other inputs: verdicts changed since" in refused.stderr


def test_images_without_a_label_go_into_no_folder(case: Case) -> None:
    labels = case.table(rows_of() + "12.png,\n13.png,\n")
    for name in ("12.png", "13.png"):
        shutil.copyfile(case.images / "00.png", case.images / name)
    assert case.audit(labels, "--max-bad", "0.5").exit_code == 0
    verdicts = case.table("image_path,verdict,reviewed_label\n00.png,keep,\n", "verdicts.csv")
    tree = case.root / "sorted"
    words = ("review", case.root / "run", verdicts, "--out", case.root / "cleaned.csv", "--to-folders", tree)
    assert case.cli(*words).exit_code == 0
    assert sorted(path.name for path in tree.iterdir() if path.is_dir()) == ["cat", "dog"]
    assert len(list(tree.rglob("*.png"))) == 12


def test_many_changed_labels_train_again(round_: Round) -> None:
    frame = round_.flagged
    frame["verdict"] = "relabel"
    verdicts = round_.write(frame[["image_path", "verdict", "reviewed_label"]].to_numpy().tolist())
    assert round_.review(verdicts).exit_code == 0
    words = (round_.shapes.images, round_.cleaned, "--reuse", round_.run, "--out", round_.root / "run-2")
    done = round_.cli("audit", *words)
    assert "the networks are trained again, because that is" in done.stderr
    assert "probe 1 of 1" in done.stderr
    assert "decode:" not in done.stderr
    scores = pd.read_csv(round_.root / "run-2" / "scores.csv", dtype=str, keep_default_na=False)
    assert not (scores.loc[scores["image_path"].isin(frame["image_path"]), "flagged"] == "true").any()


def test_networks_that_are_taken_over_keep_their_normalisation(case: Case) -> None:
    bright = np.random.default_rng(0).integers(150, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(bright).save(case.images / "bright.png")
    assert case.audit(case.table(rows_of())).exit_code == 0
    more, record = case.table(rows_of() + "bright.png,cat\n"), case.root / "run" / "train-probe" / "net-0.npz"
    config = case.root / "run" / "model" / "config.json"
    for out in ("second", "of an older version"):
        words = ("--reuse", case.root / "run", "--set", "reuse.retrain_above=1")
        assert "the networks are not trained again" in case.audit(more, *words, out=out).stderr
        assert (case.root / out / "model" / "config.json").read_bytes() == config.read_bytes()
        arrays = dict(np.load(record))
        np.savez(record, **{name: arrays[name] for name in arrays if name not in NORMALISATION})


def test_another_pretraining_trains_again(case: Case) -> None:
    labels = case.table(rows_of())
    assert case.audit(labels).exit_code == 0
    words = ("--reuse", case.root / "run", "--set", "simclr.batch=4")
    assert "is taken over" in case.audit(labels, *words, out="without").stderr
    said = case.audit(labels, *words, "--set", "simclr.epochs=1", out="with").stderr
    assert "the networks are trained again, because the pre-training changed" in said
    assert "probe 1 of 1" in said


def test_labels_that_are_not_the_reviewers_are_not_pinned(round_: Round) -> None:
    verdicts = round_.write([(round_.worst[0]["image_path"], "relabel", "")])
    assert round_.review(verdicts).exit_code == 0
    words = (round_.shapes.images, round_.shapes.labels, "--reuse", round_.run, "--out", round_.root / "run-2")
    done = round_.cli("audit", *words)
    assert "1 labels are not what the reviewers decided and are not pinned" in done.stderr
