"""Train a classifier that the noise did not spoil, and say honestly what it is worth. Every step, in order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from noisyclean.base.log import Reporter, Silent
from noisyclean.config import read_overrides
from noisyclean.data.ingest import IngestOptions, read_labels
from noisyclean.pipeline.compare import compare_stages
from noisyclean.pipeline.origin import resolve_origin
from noisyclean.pipeline.plan import PlanRequest
from noisyclean.pipeline.preparing import prepare_stage
from noisyclean.pipeline.rundir import open_run
from noisyclean.pipeline.starting import start_stage
from noisyclean.pipeline.testing import prepare_test_stage, split_off_test
from noisyclean.pipeline.training import train_stage
from noisyclean.pipeline.training_jobs import main_job, read_truth
from noisyclean.pipeline.training_plan import settle_train_plan
from noisyclean.pipeline.training_report import training_report_stage

__all__ = ["train"]


def train(
    images: str | Path,
    labels: str | Path | None = None,
    *,
    out: str | Path,
    method: str | None = None,
    init: str = "simclr",
    test: str | Path | None = None,
    truth: str | Path | None = None,
    compare: bool = False,
    preset: str = "standard",
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
    """Train on noisy labels.

    The same call continues an interrupted run and does nothing when it is finished.

    Args:
        images: Folder of the images; never written to.
        labels: CSV, TSV or semicolon table with a path and a label for each image; without it, one folder per class.
        out: The run directory.
        method: ``dividemix``, ``elr-plus``, ``moit``, ``moit-plus``, ``cross-entropy``, ``mixmatch-oracle`` or a
            plugin's; by default dividemix, with ``preset="quick"`` the method that wins at that budget.
        init: What the networks start from: ``simclr``, ``scratch``, ``pretrained:NAME`` (may download),
            ``local-dir:PATH`` or ``run:RUN``.
        test: Table of images with clean labels, to judge by; never trained on, never selected by.
        truth: Table of true labels of the training images, for the oracle and for judging the detection.
        compare: Also train cross-entropy with the same budget on all, on the pruned and on the relabelled set.
        preset: ``quick``, ``standard``, ``thorough`` or ``paper``.
        backbone: A timm name.
        size: Side in pixels every image is resized to.
        augment: ``auto``, ``natural``, ``grey``, ``oriented`` or ``none``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        seed: Of everything random.
        encoding: Of the table.
        image_column: Name of the column of paths.
        label_column: Name of the column of labels.
        group_column: Images of one group (patient, part, burst) never vote for each other and are held out together.
        split_column: Name of the column that says train, val or test.
        max_bad: Largest share of unusable rows to go on with.
        config: A TOML file of stage settings.
        set: Single settings, ``stage.key=value``.
        overwrite: Replace what an earlier run wrote to ``out``.
        reporter: Hears about messages and progress.

    Returns:
        What ``summary.json`` holds; ``test_accuracy`` is of the last epoch, in [0, 1], None without test images.

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
    origin = resolve_origin(init, backbone)
    ingested = read_labels(Path(images), Path(labels) if labels else None, options)
    for note in ingested.notes:
        reporter.say(note)
    with open_run(Path(out), overwrite=overwrite) as run:
        inputs = {"labels": ingested.table.fingerprint, "images": ingested.files_fingerprint}
        run.claim("train", inputs, describe={"images": str(images), "labels": str(labels or "")})
        plan = settle_train_plan(run.root / "plan.json", request, method, origin, ingested.table)
        for name, reason in plan.reasons.items():
            reporter.say(f"{name}: {reason}")
        everything = prepare_stage(run, ingested, plan.base, inputs=inputs, reporter=reporter)
        prepared, test_set = split_off_test(everything)
        if test is not None:
            test_set = prepare_test_stage(
                run, Path(images), Path(test), options, prepared, plan.base, reporter=reporter
            )
        start = start_stage(run, origin, prepared, plan.base, reporter=reporter)
        truth_N = None if truth is None else read_truth(Path(truth), prepared.table)
        job = main_job(prepared, plan, truth_N, judges_by_verified=compare and test_set is None)
        trained = [train_stage(run, prepared, start, job, plan, reporter=reporter)]
        if compare:
            trained += compare_stages(run, prepared, start, trained[0], plan, reporter=reporter)
        return training_report_stage(run, prepared, trained, test_set, truth_N, plan, reporter=reporter)
