"""``noisyclean bench training`` through the command line, with hardly any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisyclean.bench.training import CELLS, bench_training, markdown_table
from noisyclean.errors import UsageError
from noisyclean.robust.method import methods
from tests.conftest import Run

SMALL = ("--set", "budget.passes=3", "--set", "holdout.share=0.3")


def test_every_method_has_a_row() -> None:
    assert {cell.method for cell in CELLS.values()} == set(methods.names())


def test_a_grid_is_trained_once_and_printed_as_a_table(cli: Run, tmp_path: Path) -> None:
    words = ("bench", "training", "--out", tmp_path, "--seeds", "0,1", "--noise", "symmetric", "--json", *SMALL)
    first = cli(*words, "--only", "cross-entropy")
    assert first.exit_code == 0, first.stderr
    (row,) = first.json["rows"]
    assert (row["name"], row["problem"], row["passes"]) == ("cross-entropy", "symmetric", 3)
    assert all(0 <= row["seeds"][seed]["accuracy"] <= 1 for seed in ("0", "1"))
    assert "| cross-entropy | " in first.stderr
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("symmetric-*/summary.json")}
    assert len(done) == 2
    again = cli(*words, "--only", "cross-entropy")
    assert again.json["rows"] == first.json["rows"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("symmetric-*/summary.json")} == done
    other = cli(*words, "--only", "cross-entropy", "--set", "budget.passes=6")
    assert other.json["rows"][0]["passes"] == 6, "figures of other settings are no answer"


def test_pretraining_is_paid_from_the_same_budget(tmp_path: Path) -> None:
    result = bench_training(
        out=tmp_path,
        only=["dividemix-simclr"],
        seeds=[0],
        noise=["symmetric"],
        set=["budget.passes=12", "holdout.share=0.3", "simclr.batch=256"],
    )
    (row,) = result["rows"]
    assert row["passes"] == 12
    assert (tmp_path / "symmetric-dividemix-simclr-0" / "pretrain" / "backbone.safetensors").exists()


def test_the_table_has_mean_and_spread_for_each_problem() -> None:
    seed = {"accuracy": 0.5, "selected": 0.25, "auroc": 1.0}
    rows = [
        {"name": "a", "problem": "one", "seeds": {"0": seed, "1": seed | {"accuracy": 0.6}}},
        {"name": "a", "problem": "two", "seeds": {"0": seed}},
    ]
    head, _, line = markdown_table(rows).splitlines()
    assert head.count("last epoch") == 2
    assert line == "| a | 55.0 ± 7.1 | 25.0 ± 0.0 | 100.0 ± 0.0 | 50.0 | 25.0 | 100.0 |"


def test_what_cannot_work_is_refused(cli: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--only sloth"):
        bench_training(out=tmp_path, only=["sloth"])
    with pytest.raises(UsageError, match="--images needs"):
        bench_training(out=tmp_path, images=tmp_path)
    result = cli("bench", "training", "--out", tmp_path, "--seeds", "one")
    assert result.exit_code == 2
    assert "--seeds one" in result.stderr
