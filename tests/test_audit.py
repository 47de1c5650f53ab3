"""The main job through the command line, on small synthetic images."""

from __future__ import annotations

import csv
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisyclean.base.files import read_json, sha256_file
from noisyclean.base.memory import MEMORY
from noisyclean.pipeline.rundir import open_run
from tests.conftest import QUICK, Result, Run, Shapes, make_shapes, write_table

OUTPUTS = (
    "flagged.csv",
    "scores.csv",
    "summary.json",
    "report.html",
    "embeddings.npz",
    "pred_probs.npz",
    "plan.json",
    "model/config.json",
    "model/model.safetensors",
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def audit(cli: Run, shapes: Shapes, *more: object, out: str = "run") -> Result:
    return cli("audit", shapes.images, shapes.labels, "--out", shapes.root / out, *QUICK, *more)


def modified(run: Path) -> dict[str, int]:
    names = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in names}


def test_finds_most_of_the_errors_and_writes_every_file(audited: tuple[Shapes, Path]) -> None:
    shapes, run = audited
    assert all((run / name).stat().st_size for name in OUTPUTS)
    flagged = {row["image_path"] for row in read(run / "flagged.csv")}
    wrong = {n for n, g, t in zip(shapes.names, shapes.given, shapes.true, strict=True) if g != t}
    assert len(flagged & wrong) > 0.6 * len(wrong)
    assert len(flagged & wrong) > 0.5 * len(flagged)


@pytest.mark.parametrize(
    ("option", "choices"), [("--augment", "auto, natural, grey, oriented, none"), ("--preset", "quick")]
)
def test_unknown_words_are_refused_before_any_work(cli: Run, shapes: Shapes, option: str, choices: str) -> None:
    shapes.labels.write_text("not even read", encoding="utf-8")
    refused = audit(cli, shapes, option, "foo")
    assert refused.exit_code == 2
    assert f"{option} foo: unknown" in refused.stderr
    assert f"Choose one of {choices}" in refused.stderr
    assert not (shapes.root / "run").exists()


def test_the_summary_has_the_cost_of_every_stage_but_its_own(audited: tuple[Shapes, Path]) -> None:
    _, run = audited
    done = {path.parent.name: read_json(path) for path in run.glob("*/done.json")}
    stages = read_json(run / "summary.json")["stages"]
    assert list(stages) == ["prepare", "embed", "look", "train-probe", "score"]
    assert set(stages) == set(done) - {"report"}
    for name, cost in stages.items():
        assert {"seconds", "peak_memory_bytes"} <= set(cost) <= {"seconds", *MEMORY}
        assert cost == {key: done[name][key] for key in cost}


def test_scores_have_every_image_in_the_order_of_the_table(audited: tuple[Shapes, Path]) -> None:
    shapes, run = audited
    rows = read(run / "scores.csv")
    assert [row["image_path"] for row in rows] == shapes.names
    assert [row["given_label"] for row in rows] == shapes.given
    assert all(0 <= float(row["p_mislabeled"]) <= 1 for row in rows)


def test_arrays_carry_their_ids(audited: tuple[Shapes, Path]) -> None:
    shapes, run = audited
    with np.load(run / "pred_probs.npz", allow_pickle=False) as arrays:
        assert arrays["image_path"].tolist() == shapes.names
        assert arrays["classes"].tolist() == ["bar", "disc", "ring"]
        assert np.allclose(arrays["p_NC"].sum(axis=1), 1, atol=1e-5)
    with np.load(run / "embeddings.npz", allow_pickle=False) as arrays:
        assert np.allclose(np.linalg.norm(arrays["z_ND"], axis=1), 1, atol=1e-4)
        assert arrays["z_ND"].dtype == np.float32


def test_the_model_folder_loads_with_timm(audited: tuple[Shapes, Path]) -> None:
    import timm
    from safetensors.torch import load_file

    importlib.import_module("noisyclean.nn")
    _, run = audited
    model = timm.create_model(f"local-dir:{run / 'model'}", pretrained=True)
    stored = load_file(run / "model" / "model.safetensors")
    config: Any = model.pretrained_cfg
    assert model.num_classes == 3
    assert all((value == stored[name]).all() for name, value in model.state_dict().items())
    assert config["label_names"] == ["bar", "disc", "ring"]


def test_a_second_run_does_nothing(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    before = modified(shapes.root / "run")
    again = audit(cli, shapes, "--json")
    assert again.exit_code == 0
    assert modified(shapes.root / "run") == before
    assert again.json == read_json(shapes.root / "run" / "summary.json")


def test_a_changed_setting_redoes_that_stage_and_says_so(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    before = modified(shapes.root / "run")
    again = audit(cli, shapes, "--set", "score.num_neighbours=9")
    assert "num_neighbours" in again.stderr
    after = modified(shapes.root / "run")
    assert after["prepare/images.npy"] == before["prepare/images.npy"]
    assert after["train-probe/net-0.npz"] == before["train-probe/net-0.npz"]
    assert after["scores.csv"] != before["scores.csv"]


def test_changed_inputs_need_a_new_out(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    shapes.labels.write_text(shapes.labels.read_text().replace("000.png,bar", "000.png,ring"))
    refused = audit(cli, shapes)
    assert refused.exit_code == 2
    assert "labels changed since" in refused.stderr
    replaced = audit(cli, shapes, "--overwrite")
    assert replaced.exit_code == 0
    assert "is kept as" not in replaced.stderr


def test_an_edited_flag_table_is_never_overwritten(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    flagged = shapes.root / "run" / "flagged.csv"
    edited = flagged.read_text(encoding="utf-8-sig").replace(",,,\n", ",keep,,\n", 1)
    flagged.write_text(edited, encoding="utf-8-sig")
    audit(cli, shapes)
    assert not (shapes.root / "run" / "flagged.new.csv").exists()
    said = audit(cli, shapes, "--set", "score.num_neighbours=9").stderr
    assert "flagged.csv: was edited and stays as it is; the new list is flagged.new.csv" in said
    assert f"next: noisyclean review {shapes.root / 'run'} {shapes.root / 'run' / 'flagged.new.csv'}" in said
    assert flagged.read_text(encoding="utf-8-sig") == edited
    anew = shapes.root / "run" / "flagged.new.csv"
    anew.write_text("edited too")
    audit(cli, shapes, "--set", "score.num_neighbours=9")
    assert anew.read_text() == "edited too"
    again = audit(cli, shapes, "--set", "score.num_neighbours=8")
    assert "flagged.new.csv: was edited; it is kept as flagged.new.earlier.csv" in again.stderr
    assert (shapes.root / "run" / "flagged.new.earlier.csv").read_text() == "edited too"
    assert flagged.read_text(encoding="utf-8-sig") == edited


def test_what_is_exported_is_the_list_of_the_last_run(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    run = shapes.root / "run"
    edited = (run / "flagged.csv").read_text(encoding="utf-8-sig").replace(",,,\n", ",keep,,\n", 1).splitlines()
    (run / "flagged.csv").write_text("\n".join(edited[:3]) + "\n", encoding="utf-8-sig")
    audit(cli, shapes, "--set", "score.num_neighbours=9")
    anew = (run / "flagged.new.csv").read_text(encoding="utf-8-sig").splitlines()[1:]
    assert cli("export", run, "--to", "labelstudio", "--json").json["num_images"] == len(anew) > 2
    assert f"{run / 'flagged.new.csv'}" in cli("diff", run, run).stderr.splitlines()[-1]


def test_a_note_in_the_quarantine_decodes_nothing_anew(cli: Run, shapes: Shapes) -> None:
    (shapes.images / shapes.names[0]).write_bytes(b"")
    assert audit(cli, shapes).exit_code == 0
    path = shapes.root / "run" / "quarantine.csv"
    noted = path.read_text(encoding="utf-8-sig") + "a note,,\n"
    path.write_text(noted, encoding="utf-8-sig")
    assert "again" not in audit(cli, shapes).stderr
    assert path.read_text(encoding="utf-8-sig") == noted


def test_a_cache_that_was_emptied_is_said(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    assert audit(cli, shapes, "--cache", tmp_path / "cache").exit_code == 0
    shutil.rmtree(tmp_path / "cache")
    done = cli("score", shapes.root / "run", shapes.labels, "--images", shapes.images, "--out", tmp_path / "s.csv")
    assert done.exit_code == 2
    assert "are gone" in done.stderr
    assert "The command that made the run makes them again" in done.stderr
    assert audit(cli, shapes, "--cache", tmp_path / "cache").exit_code == 0


def test_truth_is_read_as_the_labels_were(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    header = ("bild", "klasse")
    write_table(shapes.labels, list(zip(shapes.names, shapes.given, strict=True)), header=header)
    assert audit(cli, shapes, "--image-column", "Bild", "--label-column", "klasse").exit_code == 0
    rows = list(zip(shapes.names, shapes.true, strict=True))
    for name, columns in (("same", header), ("usual", ("path", "label"))):
        truth = write_table(tmp_path / f"{name}.csv", rows, header=columns)
        done = cli("evaluate", shapes.root / "run", "--truth", truth, "--json")
        assert done.exit_code == 0, done.stderr
        assert done.json["num_images"] == len(rows)


@pytest.mark.parametrize("gone", ["flagged.csv", "preview.png"])
def test_what_was_taken_away_comes_back_as_it_was(cli: Run, shapes: Shapes, gone: str) -> None:
    audit(cli, shapes)
    flagged = (shapes.root / "run" / "flagged.csv").read_bytes()
    (shapes.root / "run" / gone).unlink()
    again = audit(cli, shapes)
    assert f"look: again, because {gone} is gone" in again.stderr
    assert (shapes.root / "run" / gone).exists()
    assert (shapes.root / "run" / "flagged.csv").read_bytes() == flagged


def test_overwrite_deletes_nothing_where_the_run_cannot_begin(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    run = shapes.root / "run"
    before = modified(run)
    assert audit(cli, shapes, "--overwrite", "--set", "probe.lr=-1").exit_code == 2
    for verb in ("audit", "train"):
        words = (verb, shapes.images, shapes.labels, "--out", run, "--reuse", run, "--overwrite")
        refused = cli(*words)
        assert refused.exit_code == 2
        assert "is the run that --reuse takes over from" in refused.stderr
    assert modified(run) == before


def test_overwrite_deletes_nothing_of_the_users(cli: Run, shapes: Shapes) -> None:
    audit(cli, shapes)
    run = shapes.root / "run"
    mine = run / "my-notes.txt"
    mine.write_text("keep me")
    written = (run / "flagged.csv").read_bytes()
    edited = written.replace(b",,,\n", b",keep,,seen\n", 1)
    (run / "flagged.csv").write_bytes(edited)
    said = audit(cli, shapes, "--overwrite").stderr
    assert "flagged.csv: was edited; it is kept as flagged.earlier.csv" in said
    assert (run / "flagged.csv").read_bytes() == written
    (run / "flagged.csv").write_text("edited again")
    with open_run(run, overwrite=True):
        assert (run / "flagged.earlier.csv").read_bytes() == edited
        assert (run / "flagged.earlier-2.csv").read_text() == "edited again"
    assert mine.read_text() == "keep me"


def test_a_strangers_folder_is_refused(cli: Run, shapes: Shapes) -> None:
    (shapes.root / "run").mkdir()
    (shapes.root / "run" / "thesis.tex").write_text("")
    refused = audit(cli, shapes)
    assert refused.exit_code == 2
    assert "holds no noisyclean run" in refused.stderr


def test_unreadable_images_are_quarantined(cli: Run, shapes: Shapes) -> None:
    (shapes.images / "005.png").write_bytes(b"GIF89a broken")
    (shapes.images / "006.png").unlink()
    assert audit(cli, shapes).exit_code == 0
    run = shapes.root / "run"
    quarantine = read(run / "quarantine.csv")
    assert [(row["image_path"], row["row"]) for row in quarantine] == [("005.png", "7"), ("006.png", "8")]
    assert quarantine[1]["reason"] == "file not found"
    scores = read(run / "scores.csv")
    assert scores[5]["p_mislabeled"] == scores[6]["p_mislabeled"] == ""
    assert float(scores[7]["p_mislabeled"]) >= 0
    assert read_json(run / "summary.json")["num_quarantined"] == 2


def test_too_many_unreadable_images_stop_the_run(cli: Run, shapes: Shapes) -> None:
    for name in shapes.names[:60]:
        (shapes.images / name).write_bytes(b"")
    refused = audit(cli, shapes)
    assert refused.exit_code == 3
    assert "60 of 240 rows cannot be used" in refused.stderr
    assert "--max-bad" in refused.stderr
    assert audit(cli, shapes, "--max-bad", "0.5").exit_code == 0
    again = audit(cli, shapes)
    assert again.exit_code == 3
    assert "60 of 240 rows cannot be used" in again.stderr
    assert "quarantine.csv lists the rows" in again.stderr


def test_images_are_never_written_to(cli: Run, shapes: Shapes) -> None:
    before = {path.name: sha256_file(path) for path in shapes.images.iterdir()}
    audit(cli, shapes)
    assert {path.name: sha256_file(path) for path in shapes.images.iterdir()} == before


def test_a_folder_per_class_needs_no_table(cli: Run, shapes: Shapes) -> None:
    tree = shapes.root / "tree"
    for name, label in zip(shapes.names, shapes.given, strict=True):
        (tree / label).mkdir(parents=True, exist_ok=True)
        (shapes.images / name).rename(tree / label / name)
    done = cli("audit", tree, "--out", shapes.root / "run", *QUICK, "--json")
    assert done.exit_code == 0
    assert [row["name"] for row in done.json["classes"]] == ["bar", "disc", "ring"]


def test_groups_and_carried_columns_arrive(cli: Run, shapes: Shapes) -> None:
    rows = [line.split(",") for line in shapes.labels.read_text().split()]
    lines = [",".join([*row, "patient" if i == 0 else f"p{i // 3}", "x"]) for i, row in enumerate(rows)]
    lines[0] = "path,label,patient,site"
    shapes.labels.write_text("\n".join(lines))
    done = audit(cli, shapes, "--group-column", "Patient")
    assert done.exit_code == 0
    assert "groups from column 'patient': 81" in done.stderr
    first = read(shapes.root / "run" / "flagged.csv")[0]
    assert first["site"] == "x"
    assert first["patient"].startswith("p")


def test_simclr_pretrains_and_the_probe_starts_from_it(cli: Run, shapes: Shapes) -> None:
    done = audit(cli, shapes, "--set", "simclr.epochs=2", "--set", "simclr.batch=64")
    assert done.exit_code == 0
    assert (shapes.root / "run" / "pretrain" / "backbone.safetensors").exists()
    assert "neighbours agree" in done.stderr


def test_evaluate_and_json_go_to_stdout_alone(cli: Run, audited: tuple[Shapes, Path]) -> None:
    shapes, run = audited
    done = cli("evaluate", run, "--truth", shapes.truth, "--json")
    figures = json.loads(done.stdout)
    assert figures["noise_rate_true"] == pytest.approx(shapes.num_wrong / len(shapes.names))
    for name in ("auroc", "average_precision", "precision_at_k", "noise_rate_estimated", "suggestion_accuracy", "ece"):
        assert 0 <= figures[name] <= 1
    assert "against the truth" in done.stderr


def test_every_verb_ends_with_the_next_command(cli: Run, audited: tuple[Shapes, Path]) -> None:
    shapes, run = audited
    corrupt = ("corrupt", shapes.truth, "--rate", "0.1", "--out", shapes.root / "noisy.csv")
    for words in (("evaluate", run, "--truth", shapes.truth), ("list",), ("doctor",), corrupt):
        assert "next: noisyclean " in cli(*words).stderr.splitlines()[-1]


def start(shapes: Shapes, out: Path) -> subprocess.Popen[bytes]:
    words = ["audit", str(shapes.images), str(shapes.labels), "--out", str(out), *QUICK]
    words += ["--set", "probe.epochs=15", "--set", "probe.num_nets=2"]
    environment = {**os.environ, "NOISYCLEAN_CHECKPOINT_S": "0.2"}
    return subprocess.Popen([sys.executable, "-m", "noisyclean", *words], env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_with_the_same_scores(tmp_path: Path, kills: int) -> None:
    shapes = make_shapes(tmp_path / "shapes")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    started = time.monotonic()
    assert start(shapes, whole).wait() == 0
    seconds = time.monotonic() - started
    chance = random.Random(0)
    for _ in range(kills):
        process = start(shapes, killed)
        time.sleep(seconds * chance.uniform(0.3, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(shapes, killed).wait() == 0
    assert (killed / "scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()


def test_two_writers_do_not_meet(cli: Run, shapes: Shapes) -> None:
    with open_run(shapes.root / "run"):
        refused = audit(cli, shapes)
    assert refused.exit_code == 4
    assert "another noisyclean process" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-bad", "2"), "--max-bad 2 "),
        (("--size", "5"), "--size 5 "),
        (("--plugin", "nix.py"), "--plugin nix.py: no such file"),
        (("--config", "nix.toml"), "--config nix.toml: cannot be read: No such file"),
        (("--set", "budget.passes=3"), "--set budget: no such stage"),
        (("--backbone", "nope"), "--backbone nope: timm knows no such model"),
        (("--backbone", "noisyclean_vit"), "--backbone noisyclean_vit: timm knows no such model"),
    ],
)
def test_errors_name_what_was_typed(cli: Run, shapes: Shapes, words: tuple[str, str], said: str) -> None:
    for more in ((), ("--dry-run",)):
        done = cli("audit", shapes.images, shapes.labels, "--out", shapes.root / "run", *words, *more)
        assert done.exit_code == 2
        assert said in done.stderr
        assert "backbone: " not in done.stderr, "the plan is decided already"
        assert not (shapes.root / "run").exists()
