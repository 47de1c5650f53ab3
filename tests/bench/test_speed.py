"""``noisyclean bench speed`` through the command line, with hardly any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noisyclean.bench import protocols
from noisyclean.errors import DataError, UsageError
from tests.conftest import Run, Shapes

NAMES = ["decode", "augment", "augment-kornia", "simclr", "simclr-bf16", "dividemix", "neighbours", "audit"]
LESS_WORK = ["simclr", "simclr-bf16", "dividemix"]
"""Rows where ours does less than the peer, to as good an end."""


def test_the_rows_have_the_names_that_users_hold_on_to() -> None:
    assert list(protocols.SPEED_ROWS) == NAMES


def test_rows_come_with_both_rates_and_their_ratio(cli: Run, tmp_path: Path) -> None:
    result = cli(
        "bench", "speed", "--tiny", "--only", "decode", "--only", "augment,", "--json", "--plot", tmp_path / "rows.svg"
    )
    assert result.exit_code == 0, result.stderr
    rows = result.json["rows"]
    assert [row["name"] for row in rows] == ["decode", "augment"]
    for row in rows:
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["peer"])
        assert row["of_limit"] > 0
    assert rows[0]["note"].startswith("mean difference")
    assert (tmp_path / "rows.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_a_peer_that_is_not_installed_is_a_row_and_no_crash(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = cli("bench", "speed", "--tiny", "--only", "neighbours", "--json")
    assert result.exit_code == 0
    (row,) = result.json["rows"]
    assert row["note"] == "not installed: pip install faiss-cpu"
    assert row["ratio"] is None
    assert "pip install faiss-cpu" in result.stderr


def test_an_earlier_table_is_compared_with(cli: Run, tmp_path: Path, shapes: Shapes) -> None:
    words = ("bench", "speed", "--tiny", "--only", "augment", "--json", "--data", shapes.root)
    earlier = tmp_path / "earlier.json"
    earlier.write_text(cli(*words).stdout, encoding="utf-8")
    (row,) = cli(*words, "--against", earlier).json["rows"]
    assert row["against"]["ours"] == pytest.approx(row["ours"] / json.loads(earlier.read_text())["rows"][0]["ours"])


def test_unknown_rows_folders_and_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such row"):
        protocols.bench_speed(only=["sloth"])
    with pytest.raises(DataError, match="no such folder"):
        protocols.bench_speed(data=tmp_path / "nowhere", only=["augment"], tiny=True)
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="no speed table"):
        protocols.bench_speed(against=tmp_path / "other.json")
    (tmp_path / "other.json").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        protocols.bench_speed(against=tmp_path / "other.json")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_row_runs(name: str) -> None:
    pytest.importorskip("lightly")
    (row,) = protocols.bench_speed(only=[name], tiny=True)["rows"]
    assert row["ratio"] > 0
    assert (row["ratio_alike"] is not None) == (name in LESS_WORK)
