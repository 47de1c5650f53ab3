"""``corrupt`` through the command line: which labels flip, and how the table is written."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run, write_table

CLASSES = ("cat", "dog", "fox")
ROWS = [(f"{index:02d}.png", CLASSES[index % 3]) for index in range(90)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """90 images of three classes."""
    return write_table(tmp_path / "labels.csv", ROWS)


@pytest.fixture
def pred_probs(tmp_path: Path) -> Path:
    """Cats look like foxes, dogs like cats, foxes like dogs; rows in another order than the table's."""
    p = np.asarray([[0.7, 0, 0.3], [0.4, 0.6, 0], [0, 0.2, 0.8]])[[CLASSES.index(name) for _, name in ROWS]]
    path = tmp_path / "pred_probs.npz"
    np.savez(path, image_path=[name for name, _ in ROWS][::-1], classes=CLASSES, p_NC=p[::-1])
    return path


def flips(path: Path) -> Counter[tuple[str, str]]:
    """How often a class became another."""
    with path.open(newline="", encoding="utf-8") as file:
        now = [row["label"] for row in csv.DictReader(file)]
    return Counter((before, after) for (_, before), after in zip(ROWS, now, strict=True) if before != after)


def test_asymmetric_noise_is_exact_in_every_class(cli: Run, labels: Path, tmp_path: Path) -> None:
    words = ("corrupt", labels, "--kind", "asymmetric", "--rate", "0.3")
    for name, more in (("next", ()), ("map", ("--map", "cat=fox,dog=cat,fox=fox"))):
        out = tmp_path / f"{name}.csv"
        assert cli(*words, *more, "--out", out).exit_code == 0
    assert flips(tmp_path / "next.csv") == {("cat", "dog"): 9, ("dog", "fox"): 9, ("fox", "cat"): 9}
    assert flips(tmp_path / "map.csv") == {("cat", "fox"): 9, ("dog", "cat"): 9}


def test_asymmetric_noise_as_probabilities_confuse(cli: Run, labels: Path, pred_probs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ("corrupt", labels, "--kind", "asymmetric", "--rate", "0.3", "--pred-probs", pred_probs, "--out", out)
    done = cli(*words, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["num_changed"] == 27
    assert flips(out) == {("cat", "fox"): 9, ("dog", "cat"): 9, ("fox", "dog"): 9}


def test_rows_without_a_label_keep_none(cli: Run, pred_probs: Path, tmp_path: Path) -> None:
    labels = write_table(tmp_path / "labels.csv", [*ROWS, ("none.png", ""), ("blank.png", " ")])
    for kind in ("symmetric", "instance-dependent"):
        out, more = tmp_path / f"{kind}.csv", ("--pred-probs", pred_probs) if kind != "symmetric" else ()
        done = cli("corrupt", labels, "--kind", kind, "--rate", "0.5", "--out", out, *more, "--json")
        assert done.exit_code == 0, done.stderr
        assert (done.json["num_rows"], done.json["rate"]) == (92, 0.5)
        now = pd.read_csv(out, dtype=str, keep_default_na=False)["label"].tolist()
        assert [name.strip() for name in now[90:]] == ["", ""]
        assert "" not in now[:90]


def test_two_sources_of_flips_are_refused(cli: Run, labels: Path, pred_probs: Path, tmp_path: Path) -> None:
    words = ("corrupt", labels, "--kind", "asymmetric", "--rate", "0.3", "--out", tmp_path / "out.csv")
    refused = cli(*words, "--map", "cat=dog", "--pred-probs", pred_probs)
    assert refused.exit_code == 2
    assert "--map and --pred-probs" in refused.stderr


@pytest.mark.parametrize(
    ("kind", "more"),
    [("symmetric", "--map"), ("instance-dependent", "--map"), ("symmetric-including-true", "--pred-probs")],
)
def test_what_a_kind_does_not_ask_for_is_refused(
    kind: str, more: str, cli: Run, labels: Path, pred_probs: Path, tmp_path: Path
) -> None:
    word = "cat=dog" if more == "--map" else str(pred_probs)
    refused = cli("corrupt", labels, "--kind", kind, "--rate", "0.3", "--out", tmp_path / "out.csv", more, word)
    assert refused.exit_code == 2
    assert f"{more}: say" in refused.stderr


def test_what_cannot_flip_is_refused(cli: Run, labels: Path, pred_probs: Path, tmp_path: Path) -> None:
    words = ("--kind", "asymmetric", "--rate", "0.3", "--out", tmp_path / "out.csv")
    other = write_table(tmp_path / "other.csv", [("a.png", "cat"), ("b.png", "dog"), ("c.png", "fox")])
    cows = write_table(tmp_path / "cows.csv", [(name, "cow" if label == "cat" else label) for name, label in ROWS])
    one = write_table(tmp_path / "one.csv", [("a.png", "cat"), ("b.png", "cat")])
    for table, more, message in (
        (other, ("--pred-probs", pred_probs), "has no row for 3 of 3"),
        (cows, ("--pred-probs", pred_probs), "its columns are not the 3 classes"),
        (labels, ("--pred-probs", tmp_path / "none.npz"), "no such file"),
        (one, (), "has one class only"),
    ):
        refused = cli("corrupt", table, *words, *more)
        assert refused.exit_code == 3
        assert message in refused.stderr
    assert not (tmp_path / "out.csv").exists()


def test_nothing_is_replaced_unasked(cli: Run, labels: Path, tmp_path: Path) -> None:
    before = labels.read_bytes()
    mine = tmp_path / "mine.csv"
    mine.write_text("my notes", encoding="utf-8")
    words = ("corrupt", labels, "--rate", "0.3", "--out")
    refused = cli(*words, mine)
    assert refused.exit_code == 2
    assert "is there already" in refused.stderr
    assert mine.read_text(encoding="utf-8") == "my notes"
    assert cli(*words, mine, "--overwrite").exit_code == 0
    assert flips(mine).total() == 27
    assert cli(*words, labels, "--overwrite").exit_code == 2
    assert labels.read_bytes() == before


def test_text_keeps_encoding_separators_quotes_and_line_ends(cli: Run, tmp_path: Path) -> None:
    rows = [f'"{index:02d}.png";{"Käse" if index % 2 else "Brot"};x' for index in range(40)]
    before = "\r\n".join(["Path;Label;Note", *rows, ""])
    (tmp_path / "labels.csv").write_bytes(before.encode("cp1252"))
    done = cli("corrupt", tmp_path / "labels.csv", "--rate", "0.25", "--out", tmp_path / "out.csv")
    assert done.exit_code == 0, done.stderr
    after = (tmp_path / "out.csv").read_bytes().decode("cp1252")
    swapped = {"Käse": "Brot", "Brot": "Käse"}
    lines = list(zip(before.split("\r\n"), after.split("\r\n"), strict=True))
    changed = [(old, new) for old, new in lines if old != new]
    assert len(changed) == 10
    for old, new in changed:
        label = old.split(";")[1]
        assert new == old.replace(label, swapped[label])
    assert "\n" not in after.replace("\r\n", "")


def test_a_parquet_table_stays_one_or_becomes_csv(cli: Run, labels: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(ROWS, columns=["path", "label"]).assign(size=np.arange(90))
    frame.to_parquet(tmp_path / "labels.parquet")
    words = ("corrupt", tmp_path / "labels.parquet", "--rate", "0.3", "--out")
    for name in ("out.parquet", "out.csv"):
        assert cli(*words, tmp_path / name).exit_code == 0
    written = pd.read_parquet(tmp_path / "out.parquet")
    assert (written["label"] != frame["label"]).sum() == 27
    assert written.drop(columns="label").equals(frame.drop(columns="label"))
    assert flips(tmp_path / "out.csv").total() == 27
    refused = cli("corrupt", labels, "--rate", "0.3", "--out", tmp_path / "other.parquet")
    assert refused.exit_code == 2
    assert "is text, not parquet" in refused.stderr
