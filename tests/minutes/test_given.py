"""Audits by arrays that somebody else made, through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from noisyclean.base.files import read_json
from tests.conftest import CLASSES, Result, Run, Shapes, make_shapes, write_table

NUM = 240


@pytest.fixture
def made(tmp_path: Path) -> tuple[Shapes, np.ndarray, np.ndarray]:
    """Shapes, and embeddings and probabilities that tell what they show."""
    shapes = make_shapes(tmp_path / "shapes")
    draw = np.random.default_rng(0)
    true = np.eye(3)[[CLASSES.index(name) for name in shapes.true]]
    p = np.exp(3 * true + draw.normal(size=true.shape))
    return shapes, true @ draw.normal(size=(3, 8)) + 0.2 * draw.normal(size=(NUM, 8)), p / p.sum(axis=1, keepdims=True)


def audit(cli: Run, shapes: Shapes, *more: object, out: str = "run") -> Result:
    return cli("audit", shapes.images, shapes.labels, "--out", shapes.root / out, *more)


def scores(shapes: Shapes, out: str = "run") -> dict[str, str]:
    with (shapes.root / out / "scores.csv").open(encoding="utf-8") as file:
        return {row["image_path"]: row["p_mislabeled"] for row in csv.DictReader(file)}


def is_right(shapes: Shapes, out: str = "run") -> float:
    """Share of the images judged rightly."""
    found = scores(shapes, out)
    pairs = zip(shapes.names, shapes.given, shapes.true, strict=True)
    return float(np.mean([(float(found[name]) > 0.5) == (given != true) for name, given, true in pairs]))


def test_ids_in_any_order_and_every_kind_of_file_give_the_same(
    cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]
) -> None:
    shapes, z, _ = made
    order = np.random.default_rng(1).permutation(NUM)
    names = np.asarray(shapes.names)
    more_names, more_z = np.append(names[order], "elsewhere.png"), np.vstack([z[order], z[:1]])
    np.savez(shapes.root / "z.npz", image_path=more_names, z=more_z)
    frame = pd.DataFrame(z[order], columns=[str(column) for column in range(8)])
    frame.assign(path=names[order]).to_parquet(shapes.root / "z.parquet")
    pd.DataFrame({"id": names[order], "z": list(z[order])}).to_parquet(shapes.root / "lists.parquet")
    np.save(shapes.root / "z.npy", z)
    for index, file in enumerate(("z.npz", "z.parquet", "lists.parquet", "z.npy")):
        done = audit(cli, shapes, "--embeddings", shapes.root / file, out=f"run{index}")
        assert done.exit_code == 0, done.stderr
        assert "no net is trained" in done.stderr
        assert scores(shapes, f"run{index}") == scores(shapes, "run0")
    assert is_right(shapes, "run0") > 0.95


def test_what_an_audit_wrote_is_read_as_it_is(cli: Run, audited: tuple[Shapes, Path]) -> None:
    shapes, run = audited
    arrays = ("--embeddings", run / "embeddings.npz", "--pred-probs", run / "pred_probs.npz")
    done = audit(cli, shapes, *arrays, "--json", out="again")
    assert done.exit_code == 0, done.stderr
    assert {"given", "score", "prepare"} == set(done.json["stages"])
    assert is_right(shapes, "again") > 0.8


def test_no_model_where_there_is_no_net_and_it_is_said(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, _, p = made
    np.save(shapes.root / "p.npy", p)
    done = audit(cli, shapes, "--pred-probs", shapes.root / "p.npy", "--json")
    run = shapes.root / "run"
    assert is_right(shapes) > 0.95
    assert not (run / "model").exists()
    assert not (run / "embeddings.npz").exists()
    assert any("no model folder" in note for note in done.json["notes"])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in page
    assert "given arrays" in page
    assert "noisyclean_compact" not in page
    with np.load(run / "pred_probs.npz", allow_pickle=False) as arrays:
        assert arrays["image_path"].tolist() == shapes.names


def test_named_columns_are_put_in_class_order(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, _, p = made
    pd.DataFrame(p, columns=list(CLASSES)).assign(image_path=shapes.names)[
        ["ring", "image_path", "bar", "disc"]
    ].to_parquet(shapes.root / "p.parquet")
    assert audit(cli, shapes, "--pred-probs", shapes.root / "p.parquet").exit_code == 0
    assert is_right(shapes) > 0.95


def test_rows_of_labels_that_name_no_image_keep_their_place(
    cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]
) -> None:
    """An .npy has a row for each row of LABELS, also for those that go to quarantine."""
    shapes, z, _ = made
    rows = [list(pair) for pair in zip(shapes.names, shapes.given, strict=True)]
    rows[10][0] = ""
    write_table(shapes.labels, rows)
    (shapes.images / shapes.names[20]).write_bytes(b"broken")
    np.save(shapes.root / "z.npy", z)
    done = audit(cli, shapes, "--embeddings", shapes.root / "z.npy")
    assert done.exit_code == 0, done.stderr
    found = scores(shapes)
    assert found[shapes.names[20]] == ""
    pairs = list(zip(shapes.names, shapes.given, shapes.true, strict=True))
    judged = [(float(found[name]) > 0.5) == (given != true) for name, given, true in pairs if found.get(name)]
    assert len(judged) == NUM - 2
    assert np.mean(judged) > 0.95


@pytest.mark.parametrize("has_rows_for_blanks", [False, True])
def test_blank_lines_have_a_row_in_the_array_or_none(
    cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray], has_rows_for_blanks: bool
) -> None:
    shapes, _, p = made
    assert audit(cli, shapes, "--pred-probs", save(shapes, p), out="plain").exit_code == 0
    lines = shapes.labels.read_text().splitlines()
    shapes.labels.write_text("\n".join([*lines[:100], "", *lines[100:200], ",", *lines[200:], lines[5], "", ""]) + "\n")
    rows = np.insert(p, [99, 199], p[0], axis=0) if has_rows_for_blanks else p
    done = audit(cli, shapes, "--pred-probs", save(shapes, np.vstack([rows, p[4:5]])))
    assert done.exit_code == 0, done.stderr
    assert scores(shapes) == scores(shapes, "plain")


@pytest.mark.parametrize(("allowed", "exit_code"), [("0.9", 0), ("0.01", 5), ("1.5", 2)])
def test_the_quality_gate(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray], allowed: str, exit_code: int) -> None:
    shapes, _, p = made
    done = audit(cli, shapes, "--pred-probs", save(shapes, p), "--fail-above", allowed, "--json")
    assert done.exit_code == exit_code, done.stderr
    assert (shapes.root / "run" / "flagged.csv").exists() == (exit_code != 2)
    if exit_code != 2:
        assert json.loads(done.stdout)["passed"] == (exit_code == 0)
    assert ("more than the 1.0% allowed" in done.stderr) == (exit_code == 5)


def test_what_a_terminal_would_obey_is_shown(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, _, p = made
    shapes.labels.write_text(shapes.labels.read_text().replace("disc", "\x1b[31mdisc"))
    p = p[:, [CLASSES.index(name) for name in ("disc", *(name for name in CLASSES if name != "disc"))]]
    done = audit(cli, shapes, "--pred-probs", save(shapes, p))
    assert done.exit_code == 0, done.stderr
    assert "\\x1b[31mdisc" in done.stderr
    assert "\x1b[31mdisc" not in done.stderr


def save(shapes: Shapes, p_NC: np.ndarray) -> Path:
    np.save(shapes.root / "p.npy", p_NC)
    return shapes.root / "p.npy"


def test_groups_are_one_witness(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    """Rows of one patient share embeddings and a wrong label; only with groups are they found."""
    shapes, z, _ = made
    wrong = [row for row in range(NUM) if shapes.true[row] == "bar"][:30]
    given = list(shapes.true)
    z[wrong] = z[wrong[0]] + 3
    for row in wrong:
        given[row] = "disc"
    patients = ["0" if row in wrong else str(row + 1) for row in range(NUM)]
    write_table(
        shapes.labels, list(zip(shapes.names, given, patients, strict=True)), header=("path", "label", "patient")
    )
    np.save(shapes.root / "z.npy", z)
    suspicion = []
    for out, more in (("alone", ()), ("grouped", ("--group-column", "patient"))):
        assert audit(cli, shapes, "--embeddings", shapes.root / "z.npy", *more, out=out).exit_code == 0
        found = scores(shapes, out)
        suspicion.append(np.mean([float(found[shapes.names[row]]) for row in wrong]))
    assert suspicion[1] > suspicion[0] + 0.2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("shuffled", "no more than chance"),
        ("nan", "hold NaN"),
        ("missing", "has no row for 2 of 240 images: '000.png', '001.png'"),
        ("twice", "'002.png' occurs twice"),
        ("short", "has 200 rows for 240 rows of LABELS"),
        ("nothing", "no such file"),
        ("objects", "cannot be read"),
        ("text", "neither .npz, nor .npy, nor Parquet"),
        ("no ids", "it needs one array of ids"),
    ],
)
def test_what_cannot_be_used_is_refused_with_exit_3(
    cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray], spoil: str, message: str
) -> None:
    shapes, z, _ = made
    file, names = shapes.root / "z.bin", np.asarray(shapes.names)
    with file.open("wb") as target:
        if spoil == "shuffled":
            np.save(target, np.random.default_rng(0).permutation(z))
        elif spoil == "nan":
            np.save(target, np.where(np.arange(NUM)[:, None] == 7, np.nan, z))
        elif spoil == "missing":
            np.savez(target, image_path=names[2:], z=z[2:])
        elif spoil == "twice":
            np.savez(target, image_path=np.append(names, "002.png"), z=np.vstack([z, z[2]]))
        elif spoil == "short":
            np.save(target, z[:200])
        elif spoil == "objects":
            np.save(target, np.asarray([{}], dtype=object), allow_pickle=True)
        elif spoil == "no ids":
            np.savez(target, z=z)
        else:
            target.write(b"1,2,3")
    if spoil == "nothing":
        file.unlink()
    refused = audit(cli, shapes, "--embeddings", file)
    assert refused.exit_code == 3
    assert message.lower() in " ".join(refused.stderr.split()).lower()
    assert not (shapes.root / "run" / "flagged.csv").exists()


def test_it_resumes_and_notices_another_file(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, z, p = made
    file = shapes.root / "z.npy"
    np.save(file, z)
    audit(cli, shapes, "--embeddings", file)
    before = {path: path.stat().st_mtime_ns for path in (shapes.root / "run").rglob("*.*") if path.name != ".lock"}
    assert audit(cli, shapes, "--embeddings", file).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    np.save(file, np.hstack([z, p]))
    again = audit(cli, shapes, "--embeddings", file)
    assert "given: again, because embeddings changed" in again.stderr


def test_one_source_of_features_and_none_of_its_own(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, z, _ = made
    (shapes.root / "run").mkdir()
    np.save(shapes.root / "z.npy", z)
    two = audit(cli, shapes, "--embeddings", shapes.root / "z.npy", "--init", "pretrained:resnet18")
    assert two.exit_code == 2
    assert "two sources of features" in two.stderr
    assert audit(cli, shapes, "--embeddings", shapes.root / "z.npy", out="own").exit_code == 0
    own = audit(cli, shapes, "--embeddings", shapes.root / "own" / "embeddings.npz", out="own")
    assert own.exit_code == 2
    assert "is written by this run" in own.stderr


def test_a_dry_run_checks_the_file(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, z, _ = made
    np.save(shapes.root / "z.npy", z[:9])
    assert audit(cli, shapes, "--embeddings", shapes.root / "z.npy", "--dry-run").exit_code == 3
    np.save(shapes.root / "z.npy", z)
    done = audit(cli, shapes, "--embeddings", shapes.root / "z.npy", "--dry-run", "--json")
    assert done.json["plan"]["way"] == "given"
    assert done.json["estimate"]["seconds"]["train"] == 0


def test_the_next_round_takes_the_same_arrays(cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]) -> None:
    shapes, z, _ = made
    np.save(shapes.root / "z.npy", z)
    audit(cli, shapes, "--embeddings", shapes.root / "z.npy")
    again = audit(cli, shapes, "--reuse", shapes.root / "run", out="run2")
    assert again.exit_code == 0, again.stderr
    assert read_json(shapes.root / "run2" / "plan.json")["plan"]["way"] == "given"
    assert scores(shapes, "run2") == scores(shapes)


def test_a_file_that_cannot_fit_is_found_before_any_image_is_decoded(
    cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray]
) -> None:
    shapes, z, p = made
    np.save(shapes.root / "short.npy", z[1:])
    np.save(shapes.root / "narrow.npy", p[:, :2])
    for words, said in (
        (("--pred-probs", "none.npy"), "no such file"),
        (("--pred-probs", "narrow.npy"), "has 2 columns for 3 classes"),
        (("--embeddings", "short.npy"), "has 239 rows for 240 rows of LABELS"),
    ):
        done = audit(cli, shapes, words[0], shapes.root / words[1])
        assert done.exit_code == 3
        assert said in done.stderr
        assert not (shapes.root / "run").exists()


@pytest.mark.parametrize("option", ["embeddings", "pred-probs"])
def test_rows_that_are_all_the_same_tell_nothing(
    cli: Run, made: tuple[Shapes, np.ndarray, np.ndarray], option: str
) -> None:
    shapes, _, _ = made
    np.save(shapes.root / "same.npy", np.full((NUM, 3), 1 / 3))
    done = audit(cli, shapes, f"--{option}", shapes.root / "same.npy")
    assert done.exit_code == 3
    assert "all 240 rows are the same" in done.stderr
