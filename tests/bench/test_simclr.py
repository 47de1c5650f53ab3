from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from noisyclean.bench.simclr import main
from noisyclean.errors import UsageError
from tests.conftest import Shapes, write_table


def run(shapes: Shapes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """What the command prints of the shapes, which are its test images too."""
    rows = list(zip(shapes.names, shapes.given, strict=True))
    for name in ("truth.csv", "test.csv"):
        write_table(shapes.images / name, rows)
    few = ("--epochs", "1", "--backbone", "noisyclean_compact", "--device", "cpu", "--images", "64")
    monkeypatch.setattr(sys, "argv", ["simclr", str(shapes.images), "--out", str(shapes.root / "out"), *few, *words])
    main()
    return json.loads(capsys.readouterr().out)


def test_it_trains_as_it_is_set_and_judges(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(shapes, capsys, monkeypatch, "--set", "simclr.num_views=3", "--set", "simclr.epochs=2")
    assert found["epochs"] == 2
    assert 0 <= found["knn_accuracy"] <= 1


def test_lightlys_simclr_is_judged_alike(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightly")
    assert 0 <= run(shapes, capsys, monkeypatch, "--lightly")["knn_accuracy"] <= 1


@pytest.mark.parametrize("setting", ["simclr.views=3", "probe.lr=1", "simclr.num_views=1"])
def test_a_setting_that_there_is_not_is_refused(
    shapes: Shapes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    with pytest.raises(UsageError, match=setting.partition(".")[0]):
        run(shapes, capsys, monkeypatch, "--set", setting)
