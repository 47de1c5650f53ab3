"""What a preset becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noisyclean.config import Plan, SimCLRConfig
from noisyclean.data.ingest import IngestOptions, read_labels
from noisyclean.errors import UsageError
from noisyclean.pipeline.budget import decide_audit, decide_training
from noisyclean.pipeline.compiling import choose_engine
from noisyclean.pipeline.costs import UnitCosts, training_seconds
from noisyclean.pipeline.origin import resolve_origin
from noisyclean.pipeline.plan import PlanRequest, decide_plan, refuse_idle_processes
from tests.conftest import Run, Shapes, write_table


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


def test_the_default_net_of_a_cpu_learns_sooner_than_others(shapes: Shapes) -> None:
    table = read_labels(shapes.images, shapes.labels).table
    compact, other = (
        decide_plan(PlanRequest(backbone=name, size=32, device="cpu"), table) for name in (None, "resnet18")
    )
    assert (compact.probe.epochs, other.probe.epochs) == (35, 40)
    for plan in (compact, other):
        assert plan.reasons["probe"].endswith("more epochs of so few images would memorise their labels")


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is made as on a machine with one; nothing is computed there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize(("size", "backbone"), [(32, "noisyclean_resnet18"), (224, "resnet18")])
def test_an_audit_on_an_accelerator(shapes: Shapes, size: int, backbone: str) -> None:
    table = read_labels(shapes.images, shapes.labels).table
    plan = decide_plan(PlanRequest(size=size), table)
    assert (plan.device, plan.dtype, plan.backbone) == ("cuda", "bfloat16", backbone)
    assert plan.simclr.epochs > 0
    assert plan.simclr.view_side == 1
    assert plan.simclr.batch == len(table) // 8, "few images are not all in one step"
    assert plan.simclr.lr == SimCLRConfig.lr * plan.simclr.batch / SimCLRConfig.batch
    longer = decide_plan(PlanRequest(size=size, preset="thorough"), table)
    assert longer.simclr.epochs == 2.5 * plan.simclr.epochs
    assert longer.probe.num_nets > plan.probe.num_nets


def test_a_plan_from_before_there_was_a_choice_has_two_views(shapes: Shapes) -> None:
    plan = decide_plan(PlanRequest(size=32, device="cpu"), read_labels(shapes.images, shapes.labels).table)
    written = plan.to_json()
    assert Plan.from_json(written) == plan
    del written["simclr"]["num_views"]
    assert Plan.from_json(written).simclr.num_views == 2


@pytest.mark.usefixtures("accelerator")
def test_a_long_training_on_an_accelerator_is_compiled(shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    has_compiler = True
    plan = decide_plan(PlanRequest(size=32), read_labels(shapes.images, shapes.labels).table)
    monkeypatch.setattr("noisyclean.pipeline.compiling._needed", lambda: {"Triton": True, "C compiler": has_compiler})
    for num_views, is_compiled in ((1e6, False), (1e8, True)):
        engine, why = choose_engine(plan, num_views, {"replay": False})
        assert engine.compile == is_compiled
        assert f"{num_views / 1e6:.1f} million views" in why["engine"]
    large = replace(plan, prepare=replace(plan.prepare, size_px=224))
    assert choose_engine(large, 1e6, {})[0].compile, "large views take longer"
    assert choose_engine(plan, 1e8, {"compile": False}) == (plan.engine, {})
    assert choose_engine(replace(plan, device="cpu"), 1e8, {}) == (plan.engine, {})
    has_compiler = False
    engine, why = choose_engine(plan, 1e8, {})
    assert not engine.compile
    assert "no C compiler" in why["engine"]


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("preset", ["quick", "standard", "thorough", "paper"])
def test_a_training_on_an_accelerator(shapes: Shapes, preset: str) -> None:
    labels = read_labels(shapes.images, shapes.labels)
    request, origin = PlanRequest(size=32, preset=preset), resolve_origin("simclr", None)
    plan, on_cpu = (
        decide_training(asked, "dividemix", origin, labels, num_trainings=lambda _: 1)
        for asked in (request, replace(request, device="cpu"))
    )
    by_default = decide_training(request, None, origin, labels, num_trainings=lambda _: 1)
    assert by_default.method == "dividemix", "label-refinery was measured on a CPU alone"
    assert plan.base.device == "cuda"
    assert plan.base.simclr.epochs >= on_cpu.base.simclr.epochs
    assert plan.budget.passes >= on_cpu.budget.passes
    assert (plan.robust == on_cpu.robust) == (preset == "paper"), "what is published holds for every machine"
    assert plan.base.simclr.num_views == (2 if preset == "paper" else 4)


def test_plans_are_for_the_rows_that_can_be_used(shapes: Shapes) -> None:
    rows = list(zip(shapes.names, shapes.given, strict=True))
    few = write_table(shapes.root / "few.csv", rows[:60])
    mixed = [*rows[:60], *((name, "none yet") for name in shapes.names[60:]), ("gone.png", "disc")]
    many = write_table(shapes.root / "many.csv", mixed)
    kept, padded = (read_labels(shapes.images, file, IngestOptions(unlabeled="none yet")) for file in (few, many))
    assert len(padded.table) == len(shapes.names) + 1
    request = PlanRequest(preset="thorough", size=32, device="cpu")
    for num_unlabelled in (0, 180):
        assert decide_audit(request, padded, num_unlabelled=num_unlabelled) == decide_audit(
            request, kept, num_unlabelled=num_unlabelled
        )
    origin = resolve_origin("simclr", None)
    trained = [
        decide_training(request, None, origin, ingested, num_trainings=lambda _: 1) for ingested in (kept, padded)
    ]
    assert trained[0] == trained[1]


def test_a_training_is_planned_for_the_rows_it_learns_from(shapes: Shapes) -> None:
    rows = list(zip(shapes.names, shapes.given, strict=True))
    few = write_table(shapes.root / "few.csv", [(*row, "train") for row in rows[:60]], ("path", "label", "split"))
    parted = [(*row, "train" if index < 60 else ("test", "val")[index % 2]) for index, row in enumerate(rows)]
    split = write_table(shapes.root / "split.csv", parted, ("path", "label", "split"))
    request, origin = PlanRequest(preset="quick", size=32, device="cpu"), resolve_origin("scratch", None)
    kept, whole = (
        decide_training(request, None, origin, read_labels(shapes.images, file), num_trainings=lambda _: 1)
        for file in (few, split)
    )
    assert kept == whole


def test_a_training_costs_what_it_learns_from(shapes: Shapes) -> None:
    rows = list(zip(shapes.names, shapes.given, strict=True))
    parted = [(*row, ("train", "train", "val", "test")[index % 4]) for index, row in enumerate(rows)]
    split = read_labels(shapes.images, write_table(shapes.root / "split.csv", parted, ("path", "label", "split")))
    request = PlanRequest(preset="quick", size=32, device="cpu", overrides={"simclr": {"epochs": 2, "view_side": 1}})
    plan = decide_training(request, None, resolve_origin("simclr", None), split, num_trainings=lambda _: 1)
    seconds = training_seconds(plan, split, UnitCosts(decode_s=1, train_s=3, num_features=1), num_trainings=2)
    assert seconds == {"decode": 240, "pre-train": 180 * 2 * 12, "train": 120 * plan.budget.passes * 2}


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
