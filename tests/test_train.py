"""Training through the command line, on small synthetic images."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import noisyclean.nn
from noisyclean.base.files import read_json
from noisyclean.base.log import Silent
from noisyclean.base.runtime import choose_runtime
from noisyclean.base.shell import shell_line
from noisyclean.data.ingest import IngestOptions, read_labels
from noisyclean.nn import create_backbone
from noisyclean.pipeline.fitting import TrainingSet
from noisyclean.pipeline.preparing import prepare_stage
from noisyclean.pipeline.rundir import open_run
from noisyclean.pipeline.testing import split_off_test
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.robust.method import methods
from tests.conftest import Result, Run, Shapes, make_shapes, write_table

assert timm.is_model("noisyclean_compact")

QUICK = ("--preset", "quick", "--augment", "natural", "--device", "cpu")
SETTINGS = {"epochs": 12, "batch": 12, "plus_epochs": 3, "refined_epochs": 4, "memory_per_class": 20}
NUM_TRAIN = 180

FEW = ("--set", "robust.epochs=2")
"""For a training of which nothing is to be learnt."""

Trained = Callable[[str], tuple[Shapes, Path]]


def make_split(root: Path) -> Shapes:
    """180 shapes with noisy labels in ``labels.csv``, 90 with true ones in ``test.csv``."""
    shapes = make_shapes(root, num=NUM_TRAIN + 90)
    true = list(zip(shapes.names, shapes.true, strict=True))
    write_table(shapes.labels, list(zip(shapes.names, shapes.given, strict=True))[:NUM_TRAIN])
    write_table(shapes.root / "test.csv", true[NUM_TRAIN:])
    return shapes


def settings_of(method: str) -> list[str]:
    known = {field.name for field in dataclasses.fields(methods.get(method).settings_type)}
    return [word for key, value in SETTINGS.items() if key in known for word in ("--set", f"robust.{key}={value}")]


def train(cli: Run, shapes: Shapes, method: str, *more: object, out: str = "run") -> Result:
    where = ("train", shapes.images, shapes.labels, "--out", shapes.root / out)
    return cli(*where, "--method", method, *QUICK, *settings_of(method), *more)


@pytest.fixture
def split(tmp_path: Path) -> Shapes:
    return make_split(tmp_path / "shapes")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One finished training of each method, made when first asked for; not to be written to."""
    shapes = make_split(tmp_path_factory.mktemp("trained"))
    done: dict[str, Path] = {}

    def get(method: str) -> tuple[Shapes, Path]:
        if method not in done:
            done[method] = shapes.root / method
            words = [word for word in settings_of(method) if word != "--set"]
            noisyclean.train(
                shapes.images,
                shapes.labels,
                out=done[method],
                method=method,
                preset="quick",
                augment="natural",
                device="cpu",
                test=shapes.root / "test.csv",
                truth=shapes.truth,
                set=words,
            )
        return shapes, done[method]

    return get


every_method = pytest.mark.parametrize("method", methods.names())


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@every_method
def test_writes_every_file_and_learns_the_shapes(trained: Trained, method: str) -> None:
    shapes, run = trained(method)
    summary = read_json(run / "summary.json")
    assert summary["test_accuracy"] > 0.8
    assert 0 < summary["selected_test_accuracy"] <= 1
    assert summary["test"]["num_images"] == 90
    assert sum(row["num_images"] for row in summary["test"]["classes"]) == 90
    assert summary["detection"]["auroc"] > 0.8
    assert summary["held_out"]["num_images"] > 0
    page = (run / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(http", page)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    titles = re.findall(r">([^<>]+)</text>", page)
    assert set(list(lines[0])[2:5]) <= set(titles), "figures have a panel each"
    assert "training" not in titles
    scores = read(run / f"train-{method}" / "scores.csv")
    assert [row["image_path"] for row in scores] == shapes.names[:NUM_TRAIN]
    assert all(0 <= float(row["p_mislabeled"]) <= 1 for row in scores)


@every_method
def test_the_model_folder_gives_the_same_logits_in_timm(trained: Trained, method: str) -> None:
    _, run = trained(method)
    model = timm.create_model(f"local-dir:{run / 'model'}", pretrained=True).eval()
    ours = create_backbone(read_json(run / "model" / "config.json")["architecture"], num_classes=3, seed=1).eval()
    ours.load_state_dict(load_file(run / f"train-{method}" / "net-0.safetensors"))
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(model(images), ours(images), atol=1e-5)
    assert read_json(run / "model" / "config.json")["label_names"] == ["bar", "disc", "ring"]
    assert "local-dir" in (run / "model" / "README.md").read_text()


def test_predict_and_timm_agree_on_image_files(cli: Run, trained: Trained, tmp_path: Path) -> None:
    shapes, run = trained("dividemix")
    assert cli("predict", run / "model", shapes.images, "--out", tmp_path / "p.csv").exit_code == 0
    model = timm.create_model(f"local-dir:{run / 'model'}", pretrained=True).eval()
    cfg = read_json(run / "model" / "config.json")["pretrained_cfg"]
    mean, std = (torch.tensor(cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    rows = read(tmp_path / "p.csv")[::9]
    pixels = torch.stack(
        [torch.tensor(np.asarray(Image.open(shapes.images / row["image_path"]))).permute(2, 0, 1) for row in rows]
    )
    with torch.inference_mode():
        p = model((pixels / 255 - mean) / std).softmax(dim=1)
    assert p.amax(dim=1).tolist() == pytest.approx([float(row["probability"]) for row in rows], abs=1e-5)
    names = [cfg["label_names"][index] for index in p.argmax(dim=1)]
    assert names == [row["predicted_label"] for row in rows]


def test_signals_of_the_training_are_columns_of_its_scores(trained: Trained) -> None:
    expected = {
        "dividemix": "division",
        "elr-plus": "remembered_target",
        "label-refinery": "outside_margin",
        "moit": "trained_neighbours",
    }
    for method, column in expected.items():
        _, run = trained(method)
        columns = read(run / f"train-{method}" / "scores.csv")[0].keys()
        assert columns & {*expected.values()} == {column}


def test_a_second_run_does_nothing_and_a_changed_setting_trains_again(cli: Run, split: Shapes) -> None:
    first = train(cli, split, "cross-entropy", *FEW, "--test", split.root / "test.csv")
    model = split.root / "run" / "model" / "model.safetensors"
    before = model.stat().st_mtime_ns
    again = train(cli, split, "cross-entropy", *FEW, "--test", split.root / "test.csv", "--json")
    assert first.exit_code == again.exit_code == 0
    assert model.stat().st_mtime_ns == before
    assert again.json == read_json(split.root / "run" / "summary.json")
    changed = train(cli, split, "cross-entropy", *FEW, "--set", "robust.mixup_alpha=0.5")
    assert "mixup_alpha" in changed.stderr
    assert model.stat().st_mtime_ns != before


def test_a_test_table_whose_images_are_not_found_is_named(cli: Run, split: Shapes, tmp_path: Path) -> None:
    (tmp_path / "te").mkdir()
    test = write_table(tmp_path / "te" / "labels.csv", [("nowhere/1.png", "disc"), ("nowhere/2.png", "ring")])
    refused = train(cli, split, "cross-entropy", "--test", test)
    assert refused.exit_code == 3
    assert f"--test: {test}: none of the paths is a file" in refused.stderr
    assert not (split.root / "run").exists()


def test_without_a_test_table_it_says_what_the_figure_is(cli: Run, split: Shapes) -> None:
    done = train(cli, split, "cross-entropy", *FEW, "--json")
    assert done.json["test_accuracy"] is None
    assert "held-out labels, which are as noisy" in done.json["verdict"]
    nothing = train(cli, split, "cross-entropy", *FEW, "--set", "holdout.share=0", "--json")
    assert "nothing was held out" in nothing.json["verdict"]
    assert nothing.json["held_out"] is None


def test_memorised_labels_are_told_by_those_held_out(cli: Run, tmp_path: Path) -> None:
    shapes = make_shapes(tmp_path / "shapes", num=400, rate=0.4)
    memorising = {"epochs": 30, "mixup_alpha": 0, "ema_decay": 0, "weight_decay": 0}
    settings = [word for key, value in memorising.items() for word in ("--set", f"robust.{key}={value}")]
    where = (shapes.images, shapes.labels, "--out", shapes.root / "run", "--method", "cross-entropy", "--size", 8)
    done = cli("train", *where, *QUICK, "--augment", "none", *settings, "--set", "holdout.share=0.25", "--json")
    assert any("the nets have memorised labels" in note for note in done.json["notes"])
    assert "the nets have memorised labels" in done.stderr
    wrong = shapes.num_wrong / 400
    assert done.json["noise_rate"]["low"] < wrong < done.json["noise_rate"]["high"]
    assert done.json["num_flagged"] > 0.3 * 400


def test_nothing_is_learnt_from_rows_that_are_tested_on(cli: Run, split: Shapes) -> None:
    true = list(zip(split.names, split.true, strict=True))
    (split.images / "copy.png").write_bytes((split.images / split.names[9]).read_bytes())
    write_table(split.root / "leaky.csv", [*true[:5], ("copy.png", split.true[9]), *true[NUM_TRAIN:]])
    done = train(cli, split, "cross-entropy", *FEW, "--test", split.root / "leaky.csv", "--json")
    assert "5 rows are listed in leaky.csv too: they are tested on, not learnt from" in done.stderr
    assert "1 images are also trained on" in done.stderr
    assert done.json["test"]["num_images"] == 95
    scores = read(split.root / "run" / done.json["scores"])
    assert [row["p_mislabeled"] == "" for row in scores[:6]] == [True] * 5 + [False]
    refused = train(cli, split, "cross-entropy", "--test", split.labels)
    assert refused.exit_code == 3
    assert "lists every image that could be learnt from" in refused.stderr


def test_pictures_that_are_nearly_the_same_are_one_group_and_never_tested_on(cli: Run, split: Shapes) -> None:
    def copies(rows: list[tuple[str, str]], brighter: int) -> list[tuple[str, str]]:
        for name, _ in rows:
            pixels = np.asarray(Image.open(split.images / name)).astype(np.int64) + brighter
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(split.images / f"{brighter}-{name}")
        return [(f"{brighter}-{name}", label) for name, label in rows]

    given, true = (list(zip(split.names, labels, strict=True)) for labels in (split.given, split.true))
    write_table(split.labels, given[:60] + copies(given[:60], 2))
    leaky = write_table(split.root / "leaky.csv", true[60:90] + copies(true[:5], -2))
    few = ("--set", "robust.epochs=1", "--set", "holdout.share=0.3", "--json")
    done = train(cli, split, "cross-entropy", *few, "--test", leaky)
    assert "5 images are nearly the same as trained ones; they are left out of the test" in done.stderr
    assert done.json["test"]["num_images"] == 30
    with np.load(split.root / "run" / "train-cross-entropy" / "evidence.npz") as evidence:
        group_N, held_N = evidence["group_N"], evidence["held_out_N"]
    assert np.array_equal(group_N[:60], group_N[60:])
    assert len(np.unique(group_N)) == 60
    assert held_N.any()
    assert np.array_equal(held_N[:60], held_N[60:])


def test_a_test_table_needs_no_groups(cli: Run, split: Shapes) -> None:
    bursts = ["" if row % 3 else "burst" for row in range(NUM_TRAIN)]
    rows = list(zip(split.names[:NUM_TRAIN], split.given[:NUM_TRAIN], bursts, strict=True))
    write_table(split.labels, rows, header=("path", "label", "burst"))
    more = ("--group-column", "burst", "--test", split.root / "test.csv", "--json")
    done = train(cli, split, "cross-entropy", *FEW, *more)
    assert done.exit_code == 0, done.stderr
    assert done.json["test"]["num_images"] == 90
    assert "groups from column 'burst': 121" in done.stderr, "who has no group is a group of its own"


def test_test_classes_that_are_not_trained_on_count_as_errors(cli: Run, split: Shapes) -> None:
    rows = [
        (name, "star" if index == 0 else true)
        for index, (name, true) in enumerate(zip(split.names, split.true, strict=True))
    ]
    write_table(split.root / "strange.csv", [("000.png", "star"), *rows[NUM_TRAIN:]])
    (split.images / "900.png").write_bytes((split.images / "200.png").read_bytes()[:-1] + b"x")
    write_table(split.root / "strange.csv", [(split.names[200], "star"), *rows[NUM_TRAIN:200], *rows[201:]])
    done = train(cli, split, "cross-entropy", *FEW, "--test", split.root / "strange.csv", "--json")
    assert "of classes that are not trained on, 'star' among them" in done.stderr
    assert done.json["test_accuracy"] <= 89 / 90


def test_a_split_column_keeps_test_and_validation_out_of_the_training(cli: Run, split: Shapes) -> None:
    names = list(zip(split.names, split.true, strict=True))
    parts = ["train"] * 180 + ["val"] * 30 + ["test"] * 60
    write_table(
        split.labels, [(*row, part) for row, part in zip(names, parts, strict=True)], ("path", "label", "split")
    )
    done = train(cli, split, "cross-entropy", *FEW, "--json")
    assert done.json["test"]["num_images"] == 60
    assert done.json["held_out"]["num_images"] == 30
    with np.load(split.root / "run" / "train-cross-entropy" / "evidence.npz") as arrays:
        assert "held_out_N" not in arrays, "a split of its own says nothing of the other labels"
    scores = read(split.root / "run" / done.json["scores"])
    assert sum(row["flagged"] == "true" for row in scores) == done.json["num_flagged"]
    assert f"{done.json['num_flagged']} labels are flagged in {split.root / 'run' / done.json['scores']}" in done.stderr
    assert [row["p_mislabeled"] == "" for row in scores] == [part == "test" for part in parts]


def test_every_start(cli: Run, split: Shapes) -> None:
    first = train(cli, split, "cross-entropy", *FEW, "--set", "simclr.epochs=1", "--set", "simclr.batch=32", out="a")
    assert first.exit_code == 0
    pretrained = split.root / "a" / "pretrain" / "backbone.safetensors"
    assert pretrained.exists()
    reused = train(cli, split, "cross-entropy", *FEW, "--init", f"run:{split.root / 'a'}", out="b")
    assert "the pre-training of" in reused.stderr
    started = load_file(split.root / "b" / "start" / "backbone.safetensors")
    assert all(torch.equal(value, started[name]) for name, value in load_file(pretrained).items())
    model = split.root / "a" / "model"
    assert train(cli, split, "cross-entropy", *FEW, "--init", f"local-dir:{model}", out="c").exit_code == 0
    assert train(cli, split, "cross-entropy", *FEW, "--init", "scratch", out="d").exit_code == 0
    assert (
        "has no pre-training"
        in train(cli, split, "cross-entropy", *FEW, "--init", f"run:{split.root / 'd'}", out="e").stderr
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--init", "imagenet"), "--init imagenet: unknown"),
        (("--init", "local-dir:nowhere"), "holds no config.json"),
        (("--init", "run:nowhere"), "is no noisyclean run"),
        (("--method", "magic"), "no method is named magic"),
        (("--method", "mixmatch-oracle"), "needs the true labels"),
        (("--set", "probe.epochs=3"), "a training has no such stage"),
        (("--set", "robust.epoch=3"), "did you mean epochs"),
        (("--set", "robust.drop_epochs=3"), "must be a list of int"),
        (("--set", "robust.cap_quantile=1.5"), "robust.cap_quantile=1.5: must be above 0 and at most 1"),
        (("--preset", "fast"), "--preset fast: unknown"),
        (("--backbone", "nope"), "--backbone nope: timm knows no such model"),
        (("--augment", "foo"), "Choose one of auto, natural, grey, oriented, none."),
    ],
)
def test_mistakes_are_explained(cli: Run, split: Shapes, words: tuple[str, ...], message: str) -> None:
    refused = cli("train", split.images, split.labels, "--out", split.root / "run", *words)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not (split.root / "run").exists()
    assert cli("train", split.images, split.labels, "--out", split.root / "run", *words, "--dry-run").exit_code == 2


def test_weights_of_another_architecture_are_refused(cli: Run, split: Shapes) -> None:
    save_file({"stem.0.0.weight": torch.zeros(2, 3, 4, 4)}, split.root / "model.safetensors")
    (split.root / "config.json").write_text('{"architecture": "noisyclean_compact", "num_classes": 0}')
    refused = train(cli, split, "cross-entropy", "--init", f"local-dir:{split.root}")
    assert refused.exit_code == 2


def test_compare_judges_on_the_test_images_and_else_says_it_cannot(cli: Run, split: Shapes) -> None:
    budget = ("--compare", "--set", "budget.passes=8", "--json")
    done = train(cli, split, "elr-plus", *budget, "--test", split.root / "test.csv")
    compared = done.json["comparison"]
    assert {row["name"] for row in compared["rows"]} == {
        "elr-plus",
        "cross-entropy",
        "cross-entropy-pruned",
        "cross-entropy-relabelled",
    }
    accuracies = [row["test_accuracy"] for row in compared["rows"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert compared["verdict"]
    records = {path.parent.name: read_json(path) for path in (split.root / "run").glob("train-*/record.json")}
    assert len(records) == 4
    assert len({record["num_held_out"] for record in records.values()}) == 1, "what is pruned is not held out by chance"
    model, out = split.root / "run" / "model", "predictions.csv"
    last = done.stderr.splitlines()[-1]
    assert last == f"next: {shell_line(['noisyclean', 'predict', model, split.images, '--out', out])}"
    silent = train(cli, split, "elr-plus", *budget)
    assert "cannot be judged" in silent.json["comparison"]["verdict"]
    assert silent.json["comparison"]["winner"] is None
    assert "train-cross-entropy" not in silent.stderr


@pytest.fixture
def third_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third row of a table counts as verified."""
    from noisyclean.data import ingest
    from noisyclean.pipeline import preparing

    def read_verified(*arguments: Any, **options: Any) -> ingest.Ingested:
        ingested = ingest.read_labels(*arguments, **options)
        verified_N = np.arange(len(ingested.table)) % 3 == 0
        return replace(ingested, table=replace(ingested.table, verified_N=verified_N))

    monkeypatch.setattr(preparing, "read_labels", read_verified)


@pytest.mark.usefixtures("third_verified")
def test_verified_rows_judge_a_comparison(split: Shapes) -> None:
    settings = ["robust.epochs=2", "robust.batch=16"]
    summary = noisyclean.train(
        split.images,
        split.labels,
        out=split.root / "run",
        method="cross-entropy",
        preset="quick",
        compare=True,
        set=settings,
    )
    assert "on 60 verified images" in summary["comparison"]["verdict"]
    assert 0 < summary["held_out"]["num_images"] < 10, "what is judged by selects nothing"


@pytest.mark.usefixtures("third_verified")
def test_verified_rows_that_select_an_epoch_judge_nothing(cli: Run, split: Shapes) -> None:
    rows = zip(split.names, split.true, strict=True)
    table = [(*row, "val" if index % 3 == 0 else "train") for index, row in enumerate(rows)]
    write_table(split.labels, table, ("path", "label", "split"))
    done = train(cli, split, "cross-entropy", *FEW, "--json")
    assert done.json["held_out"]["num_images"] == 90
    assert done.json["test_accuracy"] is None


def test_export_to_onnx_gives_the_same_logits(cli: Run, trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    _, run = trained("cross-entropy")
    done = cli("export", run, "--to", "onnx", "--out", tmp_path / "model.onnx", "--json")
    assert done.json["largest_difference"] < 1e-3
    assert cli("export", run, "--to", "tea").exit_code == 2
    assert cli("export", tmp_path, "--to", "onnx").exit_code == 2


def test_a_reviewed_audit_pins_its_verdicts_and_lends_its_images(cli: Run, split: Shapes) -> None:
    audit, cleaned = split.root / "audit", split.root / "cleaned.csv"
    words = ("--preset", "quick", "--size", "24", "--set", "probe.epochs=2", "--set", "probe.batch=32")
    simclr = ("--set", "simclr.epochs=1", "--set", "simclr.batch=32")
    assert cli("audit", split.images, split.labels, "--out", audit, *words, *simclr).exit_code == 0
    verdicts = [(name, "relabel", true) for name, true in zip(split.names[:10], split.true[:10], strict=True)]
    write_table(
        split.root / "v.csv", [*verdicts, (split.names[10], "bad", "")], ("image_path", "verdict", "reviewed_label")
    )
    assert cli("review", audit, split.root / "v.csv", "--out", cleaned).exit_code == 0
    where = ("train", split.images, cleaned, "--out", split.root / "run", "--reuse", audit)
    done = cli(*where, "--method", "dividemix", "--set", "robust.epochs=4", "--set", "robust.batch=16", "--json")
    assert "10 labels are verified, 1 images are bad" in done.stderr
    assert "size 24" in done.stderr
    assert "preset quick" in done.stderr
    run = split.root / "run"
    same = (audit / "pretrain" / "backbone.safetensors", run / "pretrain" / "backbone.safetensors")
    assert same[0].read_bytes() == same[1].read_bytes()
    assert read_json(run / "pretrain" / "done.json")["inputs"]["earlier run"]
    scores = {row["image_path"]: row for row in read(run / "train-dividemix" / "scores.csv")}
    assert all(float(scores[name]["p_mislabeled"]) == 0 for name in split.names[:10])
    assert scores[split.names[10]]["p_mislabeled"] == ""
    held_out = read_json(run / "train-dividemix" / "record.json")["num_held_out"]
    assert done.json["num_images"] == NUM_TRAIN - 1
    assert 0 < held_out < NUM_TRAIN - 11


def test_a_dry_run_says_what_it_costs_and_writes_nothing(cli: Run, split: Shapes) -> None:
    out = split.root / "run"
    plain = cli("train", split.images, split.labels, "--out", out, *QUICK, "--dry-run", "--json")
    compared = cli("train", split.images, split.labels, "--out", out, *QUICK, "--compare", "--dry-run", "--json")
    assert plain.json["dry_run"]
    assert plain.json["plan"]["method"] == "label-refinery"
    assert "label-refinery: wins at so few passes" in plain.stderr
    standard = cli("train", split.images, split.labels, "--out", out, "--device", "cpu", "--dry-run", "--json")
    assert standard.json["plan"]["method"] == "dividemix"
    assert plain.json["estimate"]["seconds"]["train"] > 0
    sizes = [result.json["estimate"]["output_bytes"]["train-label-refinery"] for result in (plain, compared)]
    assert sizes[1] == 4 * sizes[0]
    assert "--dry-run" not in plain.stderr.splitlines()[-1]
    assert not out.exists()


def test_curves_for_tensorboard(cli: Run, split: Shapes) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train(cli, split, "cross-entropy", "--tensorboard", "--set", "robust.epochs=3").exit_code == 0
    events = EventAccumulator(str(split.root / "run" / "train-cross-entropy" / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (split.root / "run" / "metrics.jsonl").read_text().splitlines()]
    told = {event.step: event.value for event in events.Scalars("loss")}
    assert told == pytest.approx({line["epoch"]: line["loss"] for line in lines})


def start(shapes: Shapes, out: Path) -> subprocess.Popen[bytes]:
    words = ["train", str(shapes.images), str(shapes.labels), "--out", str(out), "--method", "dividemix", *QUICK]
    words += ["--set", "robust.epochs=10", "--set", "robust.batch=16", "--set", "robust.num_nets=2"]
    environment = {**os.environ, "NOISYCLEAN_CHECKPOINT_S": "0.2"}
    return subprocess.Popen([sys.executable, "-m", "noisyclean", *words], env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_with_the_same_model(tmp_path: Path, kills: int) -> None:
    shapes = make_split(tmp_path / "shapes")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    started = time.monotonic()
    assert start(shapes, whole).wait() == 0
    seconds = time.monotonic() - started
    chance = random.Random(0)
    for _ in range(kills):
        process = start(shapes, killed)
        time.sleep(seconds * chance.uniform(0.5, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(shapes, killed).wait() == 0
    for name in ("model/model.safetensors", "train-dividemix/net-1.safetensors", "train-dividemix/scores.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_foreign_checkpoint_becomes_a_start(cli: Run, split: Shapes) -> None:
    net = create_backbone("noisyclean_compact", num_classes=0, seed=3)
    torch.save({"model": {f"module.{name}": value for name, value in net.state_dict().items()}}, split.root / "c.pt")
    folder = split.root / "imported"
    done = cli("import-weights", split.root / "c.pt", "--to", folder, "--size", "16", "--json")
    assert done.json["architecture"] == "noisyclean_compact"
    assert done.json["matched"] == 1
    trained = train(cli, split, "cross-entropy", "--init", f"local-dir:{folder}", "--set", "robust.epochs=1")
    assert trained.exit_code == 0
    started = load_file(split.root / "run" / "start" / "backbone.safetensors")
    assert torch.equal(started["stem.0.0.weight"], net.state_dict()["stem.0.0.weight"])
    assert cli("import-weights", split.root / "c.pt", "--to", folder).exit_code == 2
    wrong = cli("import-weights", split.root / "c.pt", "--to", split.root / "b", "--backbone", "resnet18")
    assert wrong.exit_code == 3
    assert "resnet18 finds 0% of its weights" in wrong.stderr
    assert "Name another architecture" in wrong.stderr
    state = create_backbone("resnet18", num_classes=0, seed=3).state_dict()
    torch.save(state | {"bn1.weight": torch.ones(32)}, split.root / "odd.pt")
    odd = cli("import-weights", split.root / "odd.pt", "--to", split.root / "odd", "--backbone", "resnet18", "--json")
    assert odd.json["missing"] == ["bn1.weight"], odd.stderr
    for broken in (split.labels, split.root / "gone.pt"):
        assert cli("import-weights", broken, "--to", split.root / "b").exit_code == 3


def test_a_test_split_and_its_copies_are_kept_apart(cli: Run, split: Shapes, tmp_path: Path) -> None:
    rows = list(zip(split.names, split.given, strict=True))
    copy = split.names[NUM_TRAIN]
    (split.images / copy).write_bytes((split.images / split.names[0]).read_bytes())
    table = [(name, label, "train" if row < NUM_TRAIN else "test") for row, (name, label) in enumerate(rows)]
    write_table(split.labels, table, header=("path", "label", "split"))
    few = ("--set", "simclr.epochs=1", "--set", "simclr.batch=16", "--set", "budget.passes=3", "--augment", "natural")
    where = ("train", split.images, split.labels, "--out", tmp_path / "run", "--split-column", "split")
    done = cli(*where, "--method", "cross-entropy", *few, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["test"]["num_images"] == 89
    assert "1 images are also trained on" in done.stderr
    ingested = read_labels(split.images, split.labels, IngestOptions(split_column="split"))
    plan = TrainPlan.from_json(read_json(tmp_path / "run" / "plan.json")["plan"])
    inputs = read_json(tmp_path / "run" / "run.json")["inputs"]
    with open_run(tmp_path / "run") as run:
        prepared = prepare_stage(run, ingested, plan.base, inputs=inputs, reporter=Silent())
    training, test = split_off_test(prepared, reporter=Silent())
    assert test is not None
    assert copy not in training.table.image_path_N
    pixels, label_N = TrainingSet.of(training).on_device(choose_runtime("cpu"))
    assert len(pixels) == len(label_N) == NUM_TRAIN
    assert (pixels.take(torch.arange(len(pixels))).numpy() == training.images_NHWI[:]).all()
