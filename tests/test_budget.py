"""``--budget`` chooses the plan by what it costs here, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisyclean.base.files import read_json
from noisyclean.errors import UsageError
from noisyclean.pipeline import costs
from noisyclean.pipeline.budget import parse_budget
from tests.conftest import Run, Shapes

SMALL = ("--set", "simclr.epochs=0", "--set", "probe.epochs=1", "--set", "probe.num_nets=1", "--augment", "natural")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), (" 2 m ", 120), ("0.5s", 0.5), (None, None)]
)
def test_times_as_people_write_them(text: str | None, seconds: float | None) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "0h", "5 days", "1,5h", "1e3s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time") as raised:
        parse_budget(text)
    assert "30m" in raised.value.hint


def test_much_time_gives_the_best_and_hardly_any_is_refused(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    words = ("audit", shapes.images, shapes.labels, "--out", tmp_path / "run", "--dry-run")
    much = cli(*words, "--budget", "100h", "--json")
    assert much.json["plan"]["preset"] == "thorough"
    assert "thorough: about" in much.json["plan"]["reasons"]["preset"]
    little = cli(*words, "--budget", "0.001s")
    assert little.exit_code == 2
    assert "thorough would take" in little.stderr
    assert "quick would take" in little.stderr
    assert not (tmp_path / "run").exists()


def test_a_training_takes_the_best_that_fits(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    words = ("train", shapes.images, shapes.labels, "--out", tmp_path / "run", "--dry-run", "--json")
    alone = cli(*words, "--budget", "100h")
    assert alone.json["plan"]["base"]["preset"] == "thorough"
    assert alone.json["plan"]["reasons"]["preset"].startswith("thorough: about")
    little = cli(*words, "--budget", "0.001s")
    assert little.exit_code == 2
    assert "budget.passes" in little.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["audit", "train"])
def test_a_slow_moment_of_the_machine_costs_no_budget_and_nothing_is_measured_twice(
    cli: Run, shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    class Clock:
        """Every piece of work takes a tenth of a second, but the first of each kind much longer."""

        now = 0.0
        asked = 0

        def __call__(self) -> float:
            piece, is_end = divmod(self.asked, 2)
            self.asked += 1
            self.now += is_end * {0: 2.0, 5: 2.0}.get(piece, 0.1)
            return self.now

    clock = Clock()
    monkeypatch.setattr(costs, "perf_counter", clock)
    words = (verb, shapes.images, shapes.labels, "--out", tmp_path / "run", "--dry-run", "--json", "--size", "16")
    done = cli(*words, "--budget", "1000h")
    assert done.exit_code == 0, done.stderr
    plan = done.json["plan"].get("base", done.json["plan"])
    decode_s = 0.1 / costs.TIMED_IMAGES / plan["threads"]
    assert done.json["estimate"]["seconds"]["decode"] == pytest.approx(240 * decode_s, abs=0.051)
    assert clock.asked == 2 * 2 * costs.LEAST_TIMES


def test_the_plan_is_decided_once(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    words = ("audit", shapes.images, shapes.labels, "--out", tmp_path / "run", "--budget", "100h", *SMALL)
    first = cli(*words)
    assert first.exit_code == 0, first.stderr
    before = read_json(tmp_path / "run" / "plan.json")
    assert before["plan"]["preset"] == "thorough"
    assert before["request"]["budget_s"] == 360_000
    again = cli(*words)
    assert again.exit_code == 0
    assert read_json(tmp_path / "run" / "plan.json") == before, "a measurement would not come out the same"


def test_reasons_speak_of_what_was_asked(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    where = (shapes.images, shapes.labels, "--out", tmp_path / "run", "--dry-run", "--json", "--size", "32")
    sets = ("--set", "probe.epochs=1", "--set", "probe.batch=16", "--set", "prepare.size_px=16")
    reasons = cli("audit", *where, *sets).json["plan"]["reasons"]
    assert reasons["probe"] == "probe.epochs=1, probe.batch=16: as asked"
    assert reasons["size"] == "prepare.size_px=16: as asked"
    assert "as asked" not in reasons["simclr"]
    sets = ("--set", "budget.passes=9", "--set", "robust.epochs=2", "--method", "cross-entropy")
    plan = cli("train", *where, *sets).json["plan"]
    assert plan["reasons"]["budget"] == "budget.passes=9.0: as asked"
    assert plan["reasons"]["epochs"] == "robust.epochs=2: as asked"
