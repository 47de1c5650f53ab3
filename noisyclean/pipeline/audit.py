"""The main job: find the mislabelled images and write what an annotator needs. Every step, in order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from noisyclean.base.log import Reporter, Silent
from noisyclean.config import read_overrides
from noisyclean.data.ingest import IngestOptions, read_labels
from noisyclean.pipeline.detecting import score_stage
from noisyclean.pipeline.learning import pretrain_stage, probe_stage
from noisyclean.pipeline.plan import PlanRequest, settle_plan
from noisyclean.pipeline.preparing import prepare_stage
from noisyclean.pipeline.reporting import report_stage
from noisyclean.pipeline.rundir import open_run

__all__ = ["audit"]


def audit(
    images: str | Path,
    labels: str | Path | None = None,
    *,
    out: str | Path,
    preset: str = "standard",
    init: str = "simclr",
    backbone: str | None = None,
    size: int | None = None,
    augment: str = "auto",
    device: str = "auto",
    seed: int = 0,
    encoding: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    max_bad: float = 0.1,
    config: str | Path | None = None,
    set: Iterable[str] = (),
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Find mislabelled images.

    The same call continues an interrupted run and does nothing when it is finished.

    Args:
        images: Folder of the images; never written to.
        labels: CSV, TSV or semicolon table with a path and a label for each image; without it, one folder per class.
        out: The run directory.
        preset: ``quick``, ``standard``, ``thorough`` or ``paper``.
        init: What the networks start from: ``simclr`` (the images themselves, as far as the plan gives it passes) or
            ``scratch``.
        backbone: A timm name.
        size: Side in pixels every image is resized to.
        augment: ``auto``, ``natural``, ``grey``, ``oriented`` or ``none``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        seed: Of everything random.
        encoding: Of the table.
        image_column: Name of the column of paths.
        label_column: Name of the column of labels.
        group_column: Images of one group (patient, part, burst) never vote for each other.
        split_column: Name of the column that says train or test.
        max_bad: Largest share of unusable rows to go on with.
        config: A TOML file of stage settings.
        set: Single settings, ``stage.key=value``.
        overwrite: Replace what an earlier run wrote to ``out``.
        reporter: Hears about messages and progress.

    Returns:
        What ``summary.json`` holds.

    Raises:
        UsageError: An option that cannot work.
        DataError: Input that cannot be used.
        EnvironmentProblem: The machine is short of something.
        Interrupted: Stopped by the user; the same call continues.
    """
    reporter = reporter or Silent()
    options = IngestOptions(
        encoding=encoding,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
    )
    request = PlanRequest(
        preset=preset,
        init=init,
        backbone=backbone,
        size=size,
        augment=augment,
        device=device,
        seed=seed,
        max_bad=max_bad,
        overrides=read_overrides(Path(config) if config else None, set),
    )
    ingested = read_labels(Path(images), Path(labels) if labels else None, options)
    for note in ingested.notes:
        reporter.say(note)
    with open_run(Path(out), overwrite=overwrite) as run:
        inputs = {"labels": ingested.table.fingerprint, "images": ingested.files_fingerprint}
        run.claim("audit", inputs, describe={"images": str(images), "labels": str(labels or "")})
        plan = settle_plan(run.root / "plan.json", request, ingested.table)
        for name, reason in plan.reasons.items():
            reporter.say(f"{name}: {reason}")
        prepared = prepare_stage(run, ingested, plan, inputs=inputs, reporter=reporter)
        start = pretrain_stage(run, prepared, plan, reporter=reporter)
        learned = probe_stage(run, prepared, start, plan, reporter=reporter)
        scored = score_stage(run, prepared, learned, plan, reporter=reporter)
        return report_stage(run, prepared, learned, scored, plan, reporter=reporter)
