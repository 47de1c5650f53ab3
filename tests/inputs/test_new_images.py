"""Arrivals judged, and models applied, each through the command line."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

import noisyclean
from noisyclean.base.log import Silent
from noisyclean.engine import inference
from noisyclean.errors import Interrupted
from noisyclean.export import predict as predict_module
from tests.conftest import Result, Run, Shapes, make_shapes, write_table
from tests.inputs.conftest import contents

COLUMNS = ["image_path", "predicted_label", "probability", "second_label", "second_probability"]


@pytest.fixture(scope="module")
def arrivals(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    """90 more shapes, a fifth of the labels wrong."""
    return make_shapes(tmp_path_factory.mktemp("arrivals"), 90, seed=5)


@pytest.fixture
def run(audited: tuple[Shapes, Path], arrivals: Shapes) -> Iterator[Path]:
    """The finished audit; neither it nor the images may change."""
    before = contents(arrivals.images), contents(audited[1])
    yield audited[1]
    assert (contents(arrivals.images), contents(audited[1])) == before


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def paste(cli: Run, done: Result, *more: str) -> Result:
    """Type what the last line of a command says."""
    mark, program, *words = shlex.split(done.stderr.splitlines()[-1])
    assert (mark, program) == ("next:", "noisyclean")
    return cli(*words, *more)


def test_wrong_labels_of_arrivals_are_found(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    done = cli("score", run, arrivals.labels, "--images", arrivals.images, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    frame = read(out)
    assert frame["image_path"].tolist() == arrivals.names
    assert list(frame.columns)[:7] == list(read(run / "scores.csv").columns)[:7]
    wrong = [given != true for given, true in zip(arrivals.given, arrivals.true, strict=True)]
    suspicion = frame["p_mislabeled"].astype(float)
    assert suspicion[wrong].mean() > suspicion[[not item for item in wrong]].mean() + 0.3
    assert (frame["suggested_label"] != frame["given_label"]).all()
    assert (frame["p_suggested"].astype(float) <= suspicion).all()
    assert ((frame["flagged"] == "true") == (suspicion > 0.5)).all()
    assert done.json["num_images"] == 90
    assert done.json["passed"]
    assert paste(cli, done, "--dry-run").exit_code == 0


@pytest.mark.parametrize(("allowed", "exit_code"), [("0.9", 0), ("0.01", 5)])
def test_the_quality_gate(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path, allowed: str, exit_code: int) -> None:
    out = tmp_path / "scores.csv"
    words = (arrivals.labels, "--images", arrivals.images, "--out", out, "--fail-above", allowed, "--json")
    done = cli("score", run, *words)
    assert done.exit_code == exit_code
    assert json.loads(done.stdout)["passed"] == (exit_code == 0)
    assert len(read(out)) == 90
    if exit_code:
        assert "more than the 1.0% allowed" in done.stderr
        assert "next:" not in done.stderr


def test_true_labels_pass_where_noisy_ones_do_not(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    rates = [
        cli("score", run, table, "--images", arrivals.images, "--out", tmp_path / "s.csv", "--json").json["noise_rate"]
        for table in (arrivals.truth, arrivals.labels)
    ]
    assert rates[0]["estimate"] + 0.05 < rates[1]["estimate"]


def test_arrivals_in_folders(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name, label in zip(arrivals.names, arrivals.given, strict=True):
        (tree / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(arrivals.images / name, tree / label / name)
    done = cli("score", run, tree, "--out", tmp_path / "s.csv", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["num_images"] == 90


def test_arrivals_beside_their_table_and_of_one_class(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    rows = [(n, g) for n, g in zip(arrivals.names, arrivals.given, strict=True) if g == "disc"]
    for name, _ in rows:
        shutil.copy(arrivals.images / name, folder / f"new-{name}")
    table = write_table(folder / "new.csv", [(f"new-{name}", label) for name, label in rows])
    done = cli("score", run, table, "--out", tmp_path / "s.csv", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["num_images"] == len(rows)


def test_a_known_picture_with_another_label_is_a_conflict(
    cli: Run, run: Path, audited: tuple[Shapes, Path], tmp_path: Path
) -> None:
    shapes, _ = audited
    scores = read(run / "scores.csv")
    name = scores.loc[scores["flagged"] == "false", "image_path"].iloc[0]
    known = scores.loc[scores["image_path"] == name, "given_label"].iloc[0]
    other = next(label for label in ("bar", "disc", "ring") if label != known)
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    shutil.copy(shapes.images / name, incoming / "copy.png")
    table = write_table(incoming / "new.csv", [("copy.png", other)])
    assert cli("score", run, table, "--images", incoming, "--out", tmp_path / "s.csv").exit_code == 0
    row = read(tmp_path / "s.csv").iloc[0]
    assert (row["issue_type"], row["flagged"], row["suggested_label"]) == ("conflict", "true", known)


@pytest.mark.parametrize(
    ("verdict", "same"),
    [
        pytest.param(("bar", "0.9", "not-recognisable", "false"), ("disc", "0.1", "", "false"), id="not accused"),
        pytest.param(("bar", "0.1", "conflict", "true"), ("disc", "0.1", "", "false"), id="the copy is wrong"),
        pytest.param(("bar", "1", "off-topic", "true"), ("disc", "1", "off-topic", "true"), id="shows nothing"),
    ],
)
def test_what_the_audit_believes_is_what_votes(
    cli: Run, run: Path, arrivals: Shapes, tmp_path: Path, verdict: tuple[str, ...], same: tuple[str, ...]
) -> None:
    found = []
    shutil.copytree(run, tmp_path / "run")
    for cells in (verdict, same):
        scores = read(run / "scores.csv")
        scores.loc[:59, ["suggested_label", "p_mislabeled", "issue_type", "flagged"]] = cells
        scores.to_csv(tmp_path / "run" / "scores.csv", index=False)
        words = (arrivals.labels, "--images", arrivals.images, "--out", tmp_path / "s.csv")
        assert cli("score", tmp_path / "run", *words).exit_code == 0
        found.append((tmp_path / "s.csv").read_bytes())
    assert found[0] == found[1]


def test_images_beside_the_table_go_before_audited_ones_of_the_same_names(
    cli: Run, run: Path, arrivals: Shapes, tmp_path: Path
) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    names = pd.read_csv(run / "scores.csv")["image_path"].tolist()[:90]
    for name, old in zip(names, arrivals.names, strict=True):
        shutil.copy(arrivals.images / old, folder / name)
    table = write_table(folder / "new.csv", list(zip(names, arrivals.given, strict=True)))
    done = [
        cli("score", run, table, *more, "--out", tmp_path / f"{len(more)}.csv") for more in ((), ("--images", folder))
    ]
    assert [result.exit_code for result in done] == [0, 0]
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_arrivals_that_cannot_be_judged_are_listed(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    rows = [*zip(arrivals.names, arrivals.given, strict=True)]
    rows[0], rows[1], rows[2] = (rows[0][0], "wolf"), ("gone.png", rows[1][1]), (rows[2][0], "")
    table = write_table(tmp_path / "new.csv", rows)
    done = cli("score", run, table, "--images", arrivals.images, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.stderr
    listed = pd.read_csv(tmp_path / "s.quarantine.csv", dtype=str, keep_default_na=False)
    assert listed["reason"].tolist() == ["class 'wolf' is not in the run", "file not found", "no label"]
    assert read(tmp_path / "s.csv")["p_mislabeled"].tolist()[:3] == ["", "", ""]


def test_scores_replace_scores_of_arrivals_and_nothing_else(
    cli: Run, run: Path, arrivals: Shapes, tmp_path: Path
) -> None:
    rows = list(zip(arrivals.names, arrivals.given, strict=True))[:6]
    table = write_table(tmp_path / "new.csv", [*rows, ("gone.png", "disc")])
    out = tmp_path / "s.csv"
    words = ("score", run, table, "--images", arrivals.images, "--max-bad", "0.5", "--out")
    assert cli(*words, out).exit_code == 0
    assert (tmp_path / "s.quarantine.csv").exists()
    write_table(table, rows)
    assert cli(*words, out).exit_code == 0
    assert not (tmp_path / "s.quarantine.csv").exists()
    for other in (table, run / "scores.csv", run / "flagged.csv"):
        before = other.read_bytes()
        refused = cli(*words, other)
        assert refused.exit_code == 2
        assert "holds no scores of arrivals" in refused.stderr
        assert other.read_bytes() == before


@pytest.mark.parametrize("rate", ["-0.1", "1.5"])
def test_a_rate_that_is_none(cli: Run, run: Path, arrivals: Shapes, rate: str) -> None:
    done = cli("score", run, arrivals.labels, "--images", arrivals.images, "--fail-above", rate)
    assert done.exit_code == 2
    assert "must lie in [0, 1]" in done.stderr


def test_a_run_that_is_none(cli: Run, arrivals: Shapes, tmp_path: Path) -> None:
    done = cli("score", tmp_path, arrivals.labels)
    assert done.exit_code == 2
    assert "is no noisyclean run" in done.stderr


def predict(cli: Run, run: Path, images: Path, out: Path, *more: object) -> Result:
    return cli("predict", run / "model", images, *more, "--out", out, "--json")


def test_predictions_of_a_folder(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    done = predict(cli, run, arrivals.images, tmp_path / "p.csv")
    assert done.exit_code == 0, done.stderr
    frame = read(tmp_path / "p.csv")
    assert list(frame.columns) == COLUMNS
    assert frame["image_path"].tolist() == arrivals.names
    assert (frame["predicted_label"].to_numpy() == arrivals.true).mean() > 0.6
    assert paste(cli, done, "--dry-run").exit_code == 0
    first, second = (frame[name].astype(float) for name in ("probability", "second_probability"))
    assert (first >= second).all()
    assert ((first > 0) & (first + second <= 1 + 1e-6)).all()
    assert sum(row["num_images"] for row in done.json["classes"]) == done.json["num_images"] == 90
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv"]


def test_predictions_are_rounded_nowhere(run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    rounds: list[bool] = []

    class Listener(Silent):
        def advance(self, amount: int = 1, note: str = "") -> None:  # noqa: ARG002
            rounds.append(torch.backends.cudnn.allow_tf32)

    noisyclean.predict(run / "model", arrivals.images, out=tmp_path / "p.csv", device="cpu", reporter=Listener())
    assert rounds
    assert not any(rounds)


def assert_same_but_for_rounding(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Sums go in another order in a batch of another size, so a last digit may be another."""
    probabilities = ["probability", "second_probability"]
    pd.testing.assert_frame_equal(found.drop(columns=probabilities), wanted.drop(columns=probabilities))
    difference = found[probabilities].astype(float) - wanted[probabilities].astype(float)
    assert difference.abs().to_numpy().max() < 2e-6


def test_predictions_of_tables(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    predict(cli, run, arrivals.images, whole)
    table = write_table(
        tmp_path / "some.csv", [(name, "x") for name in arrivals.names[:5]], header=("file_name", "note")
    )
    assert predict(cli, run, arrivals.images, tmp_path / "p.csv", table).exit_code == 0
    assert_same_but_for_rounding(read(tmp_path / "p.csv"), read(whole).head(5))
    beside = arrivals.root / "listed.csv"
    write_table(beside, [(f"images/{name}",) for name in arrivals.names[:5]], header=("path",))
    assert predict(cli, run, beside, tmp_path / "q.csv").exit_code == 0
    listed = read(tmp_path / "q.csv").assign(image_path=arrivals.names[:5])
    assert_same_but_for_rounding(listed, read(whole).head(5))
    assert paste(cli, predict(cli, run, beside, arrivals.root / "q.csv"), "--dry-run").exit_code == 0
    (arrivals.root / "q.csv").unlink()
    beside.unlink()


def test_a_run_is_as_good_as_its_model_folder(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    assert cli("predict", run, arrivals.images, "--out", tmp_path / "p.csv").exit_code == 0


def test_bad_images_keep_their_row_and_are_listed(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(arrivals.images, images)
    (images / "003.png").write_bytes(b"broken")
    done = predict(cli, run, images, tmp_path / "p.csv")
    assert done.exit_code == 0, done.stderr
    assert read(tmp_path / "p.csv").iloc[3].to_list() == ["003.png", "", "", "", ""]
    listed = pd.read_csv(tmp_path / "p.quarantine.csv")
    assert listed.to_numpy().tolist() == [["003.png", "is not an image in a known format"]]
    refused = predict(cli, run, images, tmp_path / "p.csv", "--max-bad", "0")
    assert refused.exit_code == 3
    assert "1 of 90 images cannot be read" in refused.stderr


def test_an_interrupted_prediction_continues(
    cli: Run, run: Path, arrivals: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noisyclean.data.stream.BLOCK", 20)
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    predict(cli, run, arrivals.images, whole)
    real, seen = inference.log_probabilities, []

    def stop(*words: object) -> object:
        seen.append(1)
        if len(seen) == 3:
            raise Interrupted("stopped")
        return real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(predict_module, "log_probabilities", stop)
    assert predict(cli, run, arrivals.images, cut).exit_code == 130
    assert not cut.exists()
    part = tmp_path / ".cut.csv.part" / "rows.csv"
    part.write_bytes(part.read_bytes() + b"040.png,dis")
    again = predict(cli, run, arrivals.images, cut)
    assert again.exit_code == 0
    assert "40 images were done before" in again.stderr
    assert cut.read_bytes() == whole.read_bytes()
    assert not part.parent.exists()


def test_another_model_does_not_continue_the_first_ones_work(
    cli: Run, run: Path, arrivals: Shapes, tmp_path: Path
) -> None:
    part = tmp_path / ".p.csv.part"
    part.mkdir()
    (part / "head.json").write_text('"of something else"')
    (part / "rows.csv").write_text("000.png,lie,1,lie,0,\n")
    assert predict(cli, run, arrivals.images, tmp_path / "p.csv").exit_code == 0
    assert "lie" not in (tmp_path / "p.csv").read_text()


def test_predictions_replace_predictions_and_nothing_else(
    cli: Run, run: Path, arrivals: Shapes, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    assert predict(cli, run, arrivals.images, out).exit_code == 0
    assert predict(cli, run, arrivals.images, out).exit_code == 0
    out.write_text("path,label\n")
    refused = predict(cli, run, arrivals.images, out)
    assert refused.exit_code == 2
    assert "holds no predictions" in refused.stderr
    inside = predict(cli, run, arrivals.images, arrivals.images / "p.csv")
    assert inside.exit_code == 2


def broken_model(run: Path, folder: Path, what: str) -> Path:
    model = folder / "model"
    shutil.copytree(run / "model", model)
    config = json.loads((model / "config.json").read_text())
    if what == "weights":
        (model / "model.safetensors").write_bytes(b"no weights")
    elif what == "gone":
        (model / "config.json").unlink()
    elif what == "json":
        (model / "config.json").write_text("{")
    else:
        if what == "classes":
            config["label_names"] = config["label_names"][:2]
        elif what == "pixels":
            del config["noisyclean"]
        elif what == "architecture":
            config["architecture"] = "resnet18"
        elif what == "stranger":
            config["architecture"] = "hf-hub:someone/something"
        (model / "config.json").write_text(json.dumps(config))
    return model


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("weights", "model.safetensors: cannot be read"),
        ("gone", "is no model folder"),
        ("json", "config.json: is no JSON"),
        ("classes", "has 2 class names for 3 classes"),
        ("pixels", "how images become the model's input"),
        ("architecture", "weights and config.json do not fit"),
        ("stranger", "timm knows no such model"),
    ],
)
def test_a_model_folder_is_checked(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path, what: str, said: str) -> None:
    done = cli("predict", broken_model(run, tmp_path, what), arrivals.images, "--out", tmp_path / "p.csv")
    assert done.exit_code == 3
    assert said in done.stderr
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("what", ["empty", "gone"])
def test_nothing_to_predict(cli: Run, run: Path, tmp_path: Path, what: str) -> None:
    images = tmp_path / "images"
    if what == "empty":
        images.mkdir()
    done = predict(cli, run, images, tmp_path / "p.csv")
    assert done.exit_code == 3
    assert ("has no images" if what == "empty" else "no such folder or table") in done.stderr


def test_a_table_whose_column_names_no_image(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [(name, "") for name in arrivals.names], header=("path", "notes"))
    words = ("predict", run / "model", arrivals.images, table, "--out", tmp_path / "p.csv")
    done = cli(*words, "--image-column", "notes")
    assert done.exit_code == 3
    assert "column 'notes' names no image" in done.stderr


def test_a_link_out_of_the_folder_is_refused(cli: Run, run: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "secret.png")
    (images / "x.png").symlink_to(tmp_path / "secret.png")
    done = predict(cli, run, images, tmp_path / "p.csv")
    assert done.exit_code == 3
    assert "error: 'x.png' leaves the images folder" in done.stderr, "a folder has no rows"


def test_labels_of_unknown_classes_alone(cli: Run, run: Path, arrivals: Shapes, tmp_path: Path) -> None:
    table = write_table(tmp_path / "new.csv", [(name, "cat") for name in arrivals.names])
    done = cli("score", run, table, "--images", arrivals.images, "--out", tmp_path / "s.csv")
    assert done.exit_code == 3
    assert "class 'cat' is not in the run" in done.stderr
    assert "Known classes are bar, disc, ring" in done.stderr
    assert "right folder" not in done.stderr
