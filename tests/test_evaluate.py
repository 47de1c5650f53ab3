"""An audit against the truth: figures recomputed here by hand, and pictures that are there and repeatable."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from noisyclean.base.files import read_json, write_json
from tests.conftest import CLASSES, Run, Shapes, write_table

PICTURES = {
    *("ranking", "calibration", "probabilities", "class-noise", "transition-true", "transition-estimated"),
    "losses",
}
"""Of an audit that recorded its losses once."""


@pytest.fixture
def judged(audited: tuple[Shapes, Path], tmp_path: Path) -> tuple[Shapes, Path]:
    """A copy of the audit, to be written to."""
    shapes, run = audited
    shutil.copytree(run, tmp_path / "run")
    return shapes, tmp_path / "run"


def test_a_training_is_no_audit(cli: Run, judged: tuple[Shapes, Path]) -> None:
    shapes, run = judged
    write_json(run / "run.json", {**read_json(run / "run.json"), "verb": "train"})
    for words in (("evaluate", run, "--truth", shapes.truth), ("diff", run, run)):
        refused = cli(*words)
        assert refused.exit_code == 2
        assert "is a training, not an audit" in refused.stderr


@pytest.mark.parametrize("verb", ["evaluate", "review"])
def test_a_damaged_summary_is_named(cli: Run, judged: tuple[Shapes, Path], tmp_path: Path, verb: str) -> None:
    shapes, run = judged
    (run / "summary.json").write_text("x")
    words = {"evaluate": ("--truth", shapes.truth), "review": (run / "flagged.csv", "--out", tmp_path / "o.csv")}
    done = cli(verb, run, *words[verb])
    assert done.exit_code == 3
    assert f"{run / 'summary.json'}: is no JSON" in done.stderr
    assert "writes it anew" in done.stderr


def test_the_figures_are_what_they_say(cli: Run, judged: tuple[Shapes, Path]) -> None:
    shapes, run = judged
    figures = cli("evaluate", run, "--truth", shapes.truth, "--json").json
    scores = pd.read_csv(run / "scores.csv", dtype=str).set_index("image_path").loc[shapes.names]
    given, true = np.asarray(shapes.given), np.asarray(shapes.true)
    wrong = given != true
    p = scores["p_mislabeled"].astype(float).to_numpy()
    assert figures["auroc"] == pytest.approx(roc_auc_score(wrong, p))
    assert figures["average_precision"] == pytest.approx(average_precision_score(wrong, p))
    worst = np.argsort(-p, kind="stable")
    assert figures["precision_at_k"] == figures["recall_at_k"] == pytest.approx(wrong[worst[: wrong.sum()]].mean())
    summary = read_json(run / "summary.json")
    assert figures["noise_rate_error"] == pytest.approx(summary["noise_rate"]["estimate"] - wrong.mean())
    shares = [[((given == a) & (true == b)).sum() / (given == a).sum() for b in CLASSES] for a in CLASSES]
    assert figures["transition_error"] == pytest.approx(
        np.abs(np.subtract(shares, summary["transition_matrix"])).mean()
    )
    suggested = scores["suggested_label"].to_numpy()
    assert figures["suggestion_accuracy"] == pytest.approx((suggested == true)[wrong].mean())
    bins = np.minimum((p * 15).astype(int), 14)
    gaps = [abs(p[bins == b].mean() - wrong[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    assert figures["ece"] == pytest.approx(sum(gaps))
    assert [row["k"] for row in figures["top"]] == [10, 30, 100]
    for row in figures["top"]:
        assert row["precision"] == pytest.approx(wrong[worst[: row["k"]]].mean())
        assert row["recall"] == pytest.approx(wrong[worst[: row["k"]]].sum() / wrong.sum())
    assert figures["signal_auroc"]["logit_margin"] == pytest.approx(
        roc_auc_score(wrong, scores["logit_margin"].astype(float))
    )
    assert "plots" not in figures
    assert not (run / "evaluation").exists()


def test_the_pictures(cli: Run, judged: tuple[Shapes, Path]) -> None:
    shapes, run = judged
    done = cli("evaluate", run, "--truth", shapes.truth, "--plots", "--json")
    assert done.exit_code == 0, done.stderr
    folder = run / "evaluation"
    assert done.json["plots"] == str(folder / "index.html")
    assert {path.stem for path in folder.glob("*.svg")} == PICTURES
    for path in folder.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == len(PICTURES)
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)", page)
    assert set(re.findall(r'xlink:href="(\w+:|#)', page)) <= {"data:", "#"}
    assert "default-src 'none'; img-src data:;" in page
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    cli("evaluate", run, "--truth", shapes.truth, "--plots")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_truth_that_confirms_every_label(cli: Run, judged: tuple[Shapes, Path]) -> None:
    shapes, run = judged
    done = cli("evaluate", run, "--truth", shapes.labels, "--plots", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["auroc"] is None
    assert done.json["suggestion_accuracy"] is None
    assert {path.stem for path in (run / "evaluation").glob("*.svg")} == PICTURES - {"ranking"}


def test_without_a_training_losses_are_those_of_the_opinion(cli: Run, judged: tuple[Shapes, Path]) -> None:
    shapes, run = judged
    shutil.rmtree(run / "train-probe")
    done = cli("evaluate", run, "--truth", shapes.truth, "--plots")
    assert done.exit_code == 0, done.stderr
    assert {path.stem for path in (run / "evaluation").glob("*.svg")} == PICTURES


@pytest.mark.parametrize("num_classes", [2, 60])
def test_losses_over_the_training_and_any_number_of_classes(num_classes: int) -> None:
    from noisyclean.report.evaluation import Compared, draw_pictures

    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(num_classes), size=num_classes)
    wrong = generator.random(500) < 0.3
    pictures = draw_pictures(
        Compared(
            classes=tuple(f"class {c}" for c in range(num_classes)),
            p_N=generator.random(500),
            is_wrong_N=wrong,
            flagged_N=np.zeros(500, dtype=bool),
            is_given_C=np.ones(num_classes, dtype=bool),
            true_CC=shares,
            estimated_CC=shares.T,
            loss_EN=generator.gamma(2, size=(5, 500)).astype(np.float32) + wrong,
        )
    )
    assert {picture.name for picture in pictures} == PICTURES | {"learning"}
    svg = {picture.name: picture.svg for picture in pictures}
    assert ("the noisiest 40 of 60 classes" in svg["class-noise"]) == (num_classes == 60)
    assert svg["class-noise"].count(">class ") == min(num_classes, 40)
    assert "AUROC of the loss" in svg["learning"]


def test_a_class_without_usable_images_is_not_counted_as_wrong(cli: Run, judged: tuple[Shapes, Path]) -> None:
    shapes, run = judged
    scores = pd.read_csv(run / "scores.csv", dtype=str, keep_default_na=False)
    is_left_out = scores["given_label"] == CLASSES[0]
    scores.loc[is_left_out, "p_mislabeled"] = ""
    scores.to_csv(run / "scores.csv", index=False)
    summary = read_json(run / "summary.json")
    rows = [row["name"] for row in summary["classes"]]
    summary["classes"][rows.index(CLASSES[0])]["num_images"] = 0
    write_json(run / "summary.json", summary)
    done = cli("evaluate", run, "--truth", shapes.truth, "--plots", "--json")
    assert done.exit_code == 0, done.stderr
    given, true = np.asarray(shapes.given), np.asarray(shapes.true)
    kept = [name for name in rows if name != CLASSES[0]]
    shares = [[((given == a) & (true == b)).sum() / (given == a).sum() for b in rows] for a in kept]
    estimated = [summary["transition_matrix"][rows.index(name)] for name in kept]
    assert done.json["transition_error"] == pytest.approx(np.abs(np.subtract(shares, estimated)).mean())
    drawn = (run / "evaluation" / "class-noise.svg").read_text(encoding="utf-8")
    assert [f">{name}<" in drawn for name in rows] == [name != CLASSES[0] for name in rows]


def test_names_of_classes_are_shown_as_they_are(cli: Run, judged: tuple[Shapes, Path]) -> None:
    """What a page or a formula would run is text here."""
    shapes, run = judged
    nasty = "<b>$x$&一"
    for name in ("scores.csv", "truth.csv"):
        source = run / name if name == "scores.csv" else shapes.truth
        frame = pd.read_csv(source, dtype=str, keep_default_na=False).replace("bar", nasty)
        frame.to_csv(run / name, index=False)
    summary = read_json(run / "summary.json")
    summary["classes"][0]["name"] = nasty
    write_json(run / "summary.json", summary)
    done = cli("evaluate", run, "--truth", run / "truth.csv", "--plots")
    assert done.exit_code == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "<b>" not in (run / "evaluation" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;$x$&amp;一" in (run / "evaluation" / "class-noise.svg").read_text(encoding="utf-8")


def test_truth_that_lacks_images_is_refused(cli: Run, judged: tuple[Shapes, Path], tmp_path: Path) -> None:
    shapes, run = judged
    some = write_table(tmp_path / "some.csv", list(zip(shapes.names, shapes.true, strict=True))[:9])
    done = cli("evaluate", run, "--truth", some)
    assert done.exit_code == 3
    assert "has no row for 231" in done.stderr


def test_a_truth_of_other_classes_is_refused_and_one_of_mostly_others_doubted(
    cli: Run, judged: tuple[Shapes, Path], tmp_path: Path
) -> None:
    shapes, run = judged
    for known, exit_code in ((0, 3), (60, 0), (120, 0)):
        labels = [*shapes.true[:known], *(f"new {name}" for name in shapes.true[known:])]
        truth = write_table(tmp_path / "truth.csv", list(zip(shapes.names, labels, strict=True)))
        done = cli("evaluate", run, "--truth", truth)
        assert done.exit_code == exit_code
        assert ("25% of its labels are of the run's classes" in done.stderr) == (known == 60)
        if exit_code:
            assert f"in it: {', '.join(sorted(set(labels)))}" in done.stderr
            assert f"in the run: {', '.join(sorted(CLASSES))}" in done.stderr
