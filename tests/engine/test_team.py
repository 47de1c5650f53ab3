"""Processes led by the first: the same results as of one process, through the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from noisyclean.base.files import read_json
from noisyclean.cli.launch import follow_if_called
from noisyclean.data.demo import write_digits
from noisyclean.engine.distributed import Share
from noisyclean.engine.neighbours import nearest_neighbours
from noisyclean.engine.team import call_team, gathered, shared_neighbours, team_size
from noisyclean.errors import EnvironmentProblem, UsageError
from tests.conftest import Run, Shapes


def test_alone_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert team_size(1) == 1
    assert not follow_if_called()
    with gathered(1, "mps"):
        pass


def test_torchrun_decides_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    assert team_size(1) == 4
    assert not follow_if_called()


def test_impossible_teams_are_refused(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    result = cli("audit", shapes.images, shapes.labels, "--out", tmp_path / "run", "--gpus", 0)
    assert result.exit_code == 2
    assert "--gpus 0" in result.stderr
    with pytest.raises(UsageError, match="mps"), gathered(2, "mps"):
        pass


def test_a_process_that_ends_instead_of_starting_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos.environ.get('RANK') == '1' and os._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="--gpus 2: process 1 ended with exit code 7"), gathered(2, "cpu"):
        pass
    assert Share.current().num == 1


@pytest.mark.slow
def test_a_process_that_ends_within_a_shared_part_is_noticed() -> None:
    def work() -> None:
        with gathered(2, "cpu"):
            call_team("something it has never heard of")
            shared_neighbours(torch.eye(9), num_neighbours=2)

    with pytest.raises(EnvironmentProblem, match="process 1 ended with exit code 1"):
        work()


@pytest.mark.slow
def test_shared_neighbours_are_those_of_one_process() -> None:
    z_ND = normalize(torch.randn(201, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    group_N = torch.arange(201) // 2
    with gathered(2, "cpu"):
        found = [shared_neighbours(z_ND, num_neighbours=7, group_N=group) for group in (None, group_N)]
    for (index_NK, similarity_NK), group in zip(found, (None, group_N), strict=True):
        alone_NK, alone_similarity_NK = nearest_neighbours(z_ND, num_neighbours=7, group_N=group)
        assert torch.equal(index_NK, alone_NK)
        assert torch.equal(similarity_NK, alone_similarity_NK)


@pytest.mark.slow
def test_two_processes_flag_what_one_flags(cli: Run, tmp_path: Path) -> None:
    write_digits(tmp_path / "data", rate=0.2, seed=0)
    images, labels = tmp_path / "data/images", tmp_path / "data/labels.csv"
    words = ("audit", images, labels, "--augment", "oriented", "--set", "probe.epochs=8")
    flagged = {}
    for name, more in {"one": (), "two": ("--gpus", 2)}.items():
        assert cli(*words, "--out", tmp_path / name, *more).exit_code == 0
        flagged[name] = set(pd.read_csv(tmp_path / name / "flagged.csv")["image_path"])
    both, either = flagged["one"] & flagged["two"], flagged["one"] | flagged["two"]
    assert len(either) > 300
    assert len(both) / len(either) >= 0.9
    assert cli(*words, "--out", tmp_path / "two", "--gpus", 2).exit_code == 0, "a finished run is not done again"


@pytest.mark.slow
def test_torchrun_gives_what_our_own_processes_give(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    few = ("--set", "simclr.epochs=1", "--set", "simclr.batch=16", "--set", "probe.epochs=2", "--augment", "natural")
    words = ("audit", str(shapes.images), str(shapes.labels), *few)
    assert cli(*words, "--out", tmp_path / "ours", "--gpus", 2).exit_code == 0
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "noisyclean")
    subprocess.run([*torchrun, *words, "--out", str(tmp_path / "torchruns")], check=True, timeout=300)
    ours, torchruns = (tmp_path / name / "scores.csv" for name in ("ours", "torchruns"))
    assert torchruns.read_bytes() == ours.read_bytes()
    assert read_json(tmp_path / "torchruns" / "plan.json")["plan"]["processes"] == 2


@pytest.mark.slow
def test_an_error_in_a_shared_part_is_told_once(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    words = (
        "--set",
        "simclr.epochs=1",
        "--set",
        "simclr.temperature=1e-40",
        "--set",
        "probe.epochs=1",
        "--augment",
        "natural",
    )
    result = cli("audit", shapes.images, shapes.labels, "--out", tmp_path / "run", "--gpus", 2, *words)
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1


@pytest.mark.slow
def test_two_processes_pretrain_for_a_training(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    few = ("--set", "simclr.epochs=1", "--set", "simclr.batch=16", "--set", "budget.passes=3", "--augment", "natural")
    words = ("train", shapes.images, shapes.labels, "--out", tmp_path / "run", "--gpus", 2, *few, "--json")
    first = cli(*words)
    assert first.exit_code == 0, first.stderr
    assert first.json["plan"]["base"]["processes"] == 2
    again = cli(*words)
    assert again.exit_code == 0
    assert again.json == first.json
