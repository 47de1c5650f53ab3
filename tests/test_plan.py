"""What a preset becomes."""

from __future__ import annotations

import pytest

from noisyclean.data.ingest import read_labels
from noisyclean.pipeline.plan import PlanRequest, decide_plan
from tests.conftest import Shapes


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
