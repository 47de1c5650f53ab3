"""What a preset becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from noisyclean.data.ingest import read_labels
from noisyclean.errors import UsageError
from noisyclean.pipeline.plan import PlanRequest, decide_plan, refuse_idle_processes
from tests.conftest import Run, Shapes


@pytest.mark.parametrize(
    ("preset", "backbone", "view_side"),
    [("standard", None, 0.75), ("thorough", None, 0.75), ("thorough", "resnet18", 1.0), ("paper", None, 1.0)],
)
def test_views_are_small_where_every_pass_counts_and_any_size_will_do(
    shapes: Shapes, preset: str, backbone: str | None, view_side: float
) -> None:
    table = read_labels(shapes.images, shapes.labels).table
    plan = decide_plan(PlanRequest(preset=preset, backbone=backbone, size=32, device="cpu"), table)
    assert plan.simclr.view_side == view_side
    assert ("views of 0.75 times" in plan.reasons["simclr"]) == (view_side < 1 and preset == "thorough")


@pytest.mark.parametrize("verb", ["audit", "train"])
def test_every_process_must_get_an_image_of_every_batch(cli: Run, shapes: Shapes, tmp_path: Path, verb: str) -> None:
    few = ("--set", "simclr.epochs=1", "--set", "simclr.batch=4", "--dry-run", "--size", 32, "--device", "cpu")
    result = cli(verb, shapes.images, shapes.labels, "--out", tmp_path / "run", "--gpus", 5, *few)
    assert result.exit_code == 2
    assert "--gpus 5: simclr.batch is 4" in result.stderr


def test_a_probe_needs_no_batch_where_none_is_trained(shapes: Shapes) -> None:
    table = read_labels(shapes.images, shapes.labels).table
    plan = decide_plan(PlanRequest(size=32, device="cpu", processes=9), table)
    assert plan.probe.batch == 8
    refuse_idle_processes(plan, len(table), trains_probe=False)
    refuse_idle_processes(replace(plan, processes=8), len(table), trains_probe=True)
    for refused, num in ((plan, len(table)), (replace(plan, processes=3), 2)):
        with pytest.raises(UsageError, match=r"probe\.batch"):
            refuse_idle_processes(refused, num, trains_probe=True)
