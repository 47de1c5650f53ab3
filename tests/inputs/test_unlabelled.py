"""``--use-unlabelled``: other images of the folder are pre-trained on, and neither judged nor tested on."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisyclean.base.files import read_json
from noisyclean.base.log import Silent
from noisyclean.base.runtime import choose_runtime
from noisyclean.data.decode import PixelMapping
from noisyclean.data.journal import open_store
from noisyclean.data.rows import ImageRows
from noisyclean.data.store import build_store
from noisyclean.pipeline.fitting import TrainingSet
from noisyclean.pipeline.unlabelled import UNLABELLED
from tests.inputs.conftest import LABELS, NAMES, Case, rows_of

PRETRAINED = ("--set", "simclr.epochs=1", "--set", "simclr.batch=4", "--use-unlabelled")


def add_pictures(case: Case, *names: str) -> None:
    generator = np.random.default_rng(7)
    for name in names:
        (case.images / name).parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(case.images / name)


def scored(run: Path) -> list[str]:
    with (run / "scores.csv").open(newline="", encoding="utf-8") as file:
        return [row["image_path"] for row in csv.DictReader(file)]


def test_other_images_are_pre_trained_on_and_never_judged(case: Case) -> None:
    add_pictures(case, "more/a.png", "more/b.png", "more/broken.png")
    (case.images / "more" / "broken.png").write_bytes(b"no picture")
    (case.images / "copy.png").write_bytes((case.images / NAMES[0]).read_bytes())
    labels = case.table(rows_of())
    done = case.audit(labels, *PRETRAINED)
    assert done.exit_code == 0, done.stderr
    assert "2 images without a label are pre-trained on and never judged; 2 more are unreadable" in done.stderr
    run = case.root / "run"
    assert scored(run) == list(NAMES)
    assert read_json(run / "plan.json")["plan"]["num_unlabelled"] == 4
    assert len(open_store(run / "prepare-unlabelled").content_N) == 4
    assert UNLABELLED in read_json(run / "pretrain" / "done.json")["inputs"]
    again = case.audit(labels, *PRETRAINED, "--json")
    assert again.json == read_json(run / "summary.json")


def test_they_follow_the_labelled_images_and_do_not_move_their_statistics(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    files = [tmp_path / f"{index}.png" for index in range(5)]
    for file in files:
        Image.fromarray(generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(file)
    listed, others = [str(file) for file in files[:3]], [str(file) for file in files[3:]]
    for folder, names in (("listed", listed), ("others", others)):
        (tmp_path / folder).mkdir()
        build_store(tmp_path / folder, names, PixelMapping(size_px=8), threads=1, reporter=Silent())
    listed_NHWI, others_UHWI = (ImageRows(open_store(tmp_path / name).images_NHWI) for name in ("listed", "others"))
    others_UHWI = others_UHWI.where(np.asarray([False, True]))
    alone = TrainingSet(images_NHWI=listed_NHWI, label_N=np.asarray([0, 1, 0]), num_classes=2)
    runtime = choose_runtime("cpu", threads=1, dtype="float32")
    before, _ = alone.on_device(runtime)
    after, label_N = replace(alone, unlabelled_UHWI=others_UHWI).on_device(runtime)
    assert label_N.tolist() == [0, 1, 0]
    assert torch.equal(after.images_LHWI[:3], before.images_LHWI)
    assert np.array_equal(after.images_LHWI[3:].numpy(), open_store(tmp_path / "others").images_NHWI[1:])
    assert torch.equal(after.mean_3, before.mean_3)
    assert torch.equal(after.std_3, before.std_3)


def test_rows_without_a_label_are_among_them(case: Case) -> None:
    cells = [*zip(NAMES, LABELS, strict=True)]
    text = "path,label\n" + "".join(
        f"{name},{'?' if index < 2 else label}\n" for index, (name, label) in enumerate(cells)
    )
    done = case.audit(case.table(text), *PRETRAINED, "--unlabeled", "?")
    assert "2 images without a label are pre-trained on" in done.stderr


@pytest.mark.parametrize(("extra", "reason"), [(True, "the plan leaves pre-training out"), (False, "every image")])
def test_where_it_has_no_effect_it_says_so(case: Case, extra: bool, reason: str) -> None:
    if extra:
        add_pictures(case, "a.png")
    done = case.audit(case.table(rows_of()), "--use-unlabelled")
    assert done.exit_code == 0
    assert f"--use-unlabelled has no effect{' on 1 images' if extra else ''}: {reason}" in done.stderr
    assert not (case.root / "run" / "prepare-unlabelled").exists()


def test_a_training_keeps_its_test_images_out(case: Case) -> None:
    add_pictures(case, "a.png", "test0.png", "test1.png")
    tests = case.table("path,label\ntest0.png,cat\ntest1.png,dog\n", "test.csv")
    words = ("train", case.images, case.table(rows_of()), "--test", tests, "--out", case.root / "run", "--size", "16")
    small = ("--preset", "quick", "--set", "robust.epochs=1", "--set", "robust.batch=4")
    done = case.cli(*words, *small, *PRETRAINED)
    assert done.exit_code == 0, done.stderr
    assert "1 images without a label are pre-trained on and never judged" in done.stderr
    assert len(open_store(case.root / "run" / "prepare-unlabelled").content_N) == 1


def test_the_plan_counts_them(case: Case) -> None:
    add_pictures(case, *(f"more/{index}.png" for index in range(36)))
    labels = case.table(rows_of())
    alone, both = (case.check(labels, "--preset", "thorough", *more) for more in ((), ("--use-unlabelled",)))
    steps = [
        done.json["plan"]["simclr"]["epochs"] * num / done.json["plan"]["simclr"]["batch"]
        for done, num in ((alone, 12), (both, 48))
    ]
    assert steps[1] == pytest.approx(steps[0], rel=0.01)
    assert both.json["plan"]["num_unlabelled"] == 36


def test_a_round_takes_over_what_was_pre_trained_on_the_same_images_alone(case: Case) -> None:
    add_pictures(case, "more/a.png", "more/b.png")
    labels = case.table(rows_of())
    assert case.audit(labels, *PRETRAINED).exit_code == 0
    reused = ("--reuse", case.root / "run", "--use-unlabelled")
    assert (
        "the networks are not trained again"
        in case.cli("audit", case.images, labels, "--out", case.root / "same", *reused).stderr
    )
    others = case.root / "others"
    shutil.copytree(case.images, others)
    Image.fromarray(np.full((16, 16, 3), 7, dtype=np.uint8)).save(others / "more" / "b.png")
    done = case.cli("audit", others, labels, "--out", case.root / "next", *reused)
    assert "the networks are trained again, because the pre-training changed" in done.stderr
    assert "simclr:" in done.stderr
