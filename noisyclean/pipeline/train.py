"""Train a classifier that the noise did not spoil, and say honestly what it is worth. Every step, in order."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from noisyclean.base.log import Reporter, Silent
from noisyclean.base.runtime import choose_runtime
from noisyclean.config import read_overrides
from noisyclean.data.ingest import Ingested, IngestOptions, as_far_as_in, read_labels
from noisyclean.data.tables import read_table
from noisyclean.engine.team import gathered, team_size
from noisyclean.engine.tensorboard import require_tensorboard
from noisyclean.errors import DataError, UsageError
from noisyclean.pipeline.budget import decide_training, parse_budget
from noisyclean.pipeline.compare import compare_stages, num_trainings
from noisyclean.pipeline.costs import Stopwatch
from noisyclean.pipeline.embedding import embed_stage
from noisyclean.pipeline.finished import FinishedRun, describe_inputs, open_finished
from noisyclean.pipeline.grouping import group_stage
from noisyclean.pipeline.moved import verdicts_now
from noisyclean.pipeline.origin import Origin, resolve_origin
from noisyclean.pipeline.plan import PlanRequest, keep_plan, settle_plan
from noisyclean.pipeline.preparing import Prepared, cache_folder, prepare_stage, read_aloud, stored_images
from noisyclean.pipeline.reuse import take_pretraining
from noisyclean.pipeline.rounds import inherit_options, inherit_request, pin_verdicts, verdicts_mark
from noisyclean.pipeline.rundir import RunDir, open_run, refuse_inside, refuse_own
from noisyclean.pipeline.starting import Start, start_stage
from noisyclean.pipeline.testing import TestSet, prepare_test_stage, set_tested_aside, split_off_test
from noisyclean.pipeline.training import train_stage
from noisyclean.pipeline.training_estimate import estimate_training
from noisyclean.pipeline.training_jobs import main_job, read_truth
from noisyclean.pipeline.training_plan import STAGES, TrainPlan
from noisyclean.pipeline.training_report import training_report_stage
from noisyclean.pipeline.unlabelled import find_unlabelled, unlabelled_stage
from noisyclean.pipeline.viewing import settle_views
from noisyclean.registry import plugins
from noisyclean.robust.method import methods

__all__ = ["train"]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is asked of a training, read and checked."""

    images: Path
    labels: Path | None
    options: IngestOptions
    request: PlanRequest
    method: str | None
    test: Path | None
    truth: Path | None
    compares: bool
    tensorboard: bool
    earlier: FinishedRun | None
    """The audit to take over from."""
    cache: Path | None

    @functools.cached_property
    def origin(self) -> Origin:
        """What ``--init`` means."""
        return resolve_origin(self.request.init, self.request.backbone)

    @functools.cached_property
    def test_options(self) -> IngestOptions:
        """How to read the test table: as LABELS, but for columns it does not have."""
        assert self.test is not None
        return as_far_as_in(read_table(self.test, encoding=self.options.encoding), self.options)

    @functools.cached_property
    def tested_files(self) -> list[str]:
        """Files of the test table."""
        if self.test is None:
            return []
        try:
            files: list[str] = read_labels(self.images, self.test, self.test_options).table.file_N.tolist()
        except DataError as error:
            where = "Images of --test are looked for as those of LABELS are: in IMAGES, or beside the table."
            raise DataError(
                f"--test: {error.message}", hint=f"{error.hint} {where}".strip(), options=error.options
            ) from error
        return files


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
    budget: str | None = None,
    backbone: str | None = None,
    size: int | None = None,
    augment: str = "auto",
    device: str = "auto",
    gpus: int = 1,
    seed: int = 0,
    encoding: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    annotator_column: str | None = None,
    class_level: int | None = None,
    unlabeled: str | None = None,
    strip_prefix: str | None = None,
    max_bad: float = 0.1,
    use_unlabelled: bool = False,
    reuse: str | Path | None = None,
    cache: str | Path | None = None,
    tensorboard: bool = False,
    plugin: Iterable[str | Path] = (),
    config: str | Path | None = None,
    set: Iterable[str] = (),
    dry_run: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train on noisy labels.

    The same call continues an interrupted run and does nothing when it is finished.

    Args:
        images: Folder of the images; never written to.
        labels: CSV, TSV, semicolon, Parquet or xlsx table with a path and a label for each image; without it, one
            folder per class.
        out: The run directory.
        method: ``dividemix``, ``elr-plus``, ``moit``, ``moit-plus``, ``label-refinery``, ``cross-entropy``,
            ``mixmatch-oracle`` or a plugin's; by default dividemix, but label-refinery with ``quick`` on a CPU, where
            it wins.
        init: What the networks start from: ``simclr``, ``scratch``, ``pretrained:NAME`` (may download),
            ``local-dir:PATH`` or ``run:RUN``.
        test: Table of images with clean labels, to judge by; never trained on, although ``labels`` may list them too,
            and never selected by. Those that are nearly the same as a trained one are left out.
        truth: Table of true labels of the training images, for the oracle and for judging the detection.
        compare: Also train cross-entropy with the same budget on all, on the pruned and on the relabelled set.
        preset: ``quick``, ``standard``, ``thorough`` or ``paper``.
        budget: Time for all, such as ``90s``, ``30m`` or ``1.5h``: the best of quick, standard and thorough that fits
            by what its parts take here, instead of ``preset``.
        backbone: A timm name.
        size: Side in pixels every image is resized to.
        augment: ``auto``, ``natural``, ``grey``, ``oriented`` or ``none``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        gpus: Accelerators that pre-train together, a process for each (on a CPU: processes); the rest is one's work.
        seed: Of everything random.
        encoding: Of the table.
        image_column: Name of the column of paths.
        label_column: Name of the column of labels.
        group_column: Images of one group (patient, part, burst) never vote for each other and are held out together.
        split_column: Name of the column that says train, val or test.
        annotator_column: Name of the column that says whose label a row is; the majority is an image's label.
        class_level: Which level of folders names the class where there is no table; 1 is the top one.
        unlabeled: Labels or folder names, separated by commas, that mean there is no label.
        strip_prefix: Taken off every path of the table before it is looked for.
        max_bad: Largest share of unusable rows to go on with.
        use_unlabelled: Images of the folder that have no label or are not listed, and are none of ``test``, are shown
            to the pre-training too, as far as the plan has one.
        reuse: A finished audit, usually reviewed since: what it decoded and pre-trained is taken over, verified labels
            are never doubted, and what is not set here is set as it was there.
        cache: Folder where decoded images are kept and shared between runs, instead of in ``out``;
            ``NOISYCLEAN_CACHE_DIR`` by default.
        tensorboard: Also write the curves for TensorBoard, into ``out``.
        plugin: Python files that add methods or signals.
        config: A TOML file of stage settings.
        set: Single settings, ``stage.key=value``.
        dry_run: Read and check everything, decide the plan, estimate time and sizes; write nothing.
        overwrite: Replace what an earlier run wrote to ``out``; what people filled in or decided is moved aside.
        reporter: Hears about messages and progress.

    Returns:
        What ``summary.json`` holds; ``test_accuracy`` is of the last epoch, in [0, 1], None without test images. With
        ``dry_run`` the plan and its estimated cost.

    Raises:
        UsageError: An option that cannot work.
        DataError: Input that cannot be used.
        EnvironmentProblem: The machine is short of something.
        Interrupted: Stopped by the user; the same call continues.
    """
    reporter = reporter or Silent()
    refuse_inside(Path(images), Path(out))
    if tensorboard:
        require_tensorboard()
    options = IngestOptions(
        encoding=encoding,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
        annotator_column=annotator_column,
        class_level=class_level,
        unlabeled=unlabeled,
        strip_prefix=strip_prefix,
    )
    options.require_sense(Path(labels) if labels else None)
    request = PlanRequest(
        preset=preset,
        budget_s=parse_budget(budget),
        init=init,
        backbone=backbone,
        size=size,
        augment=augment,
        device=device,
        processes=team_size(gpus),
        seed=seed,
        max_bad=max_bad,
        use_unlabelled=use_unlabelled,
        overrides=read_overrides(Path(config) if config else None, set),
    )
    asked = _Asked(
        images=Path(images),
        labels=Path(labels) if labels else None,
        options=options,
        request=request,
        method=method,
        test=Path(test) if test else None,
        truth=Path(truth) if truth else None,
        compares=compare,
        tensorboard=tensorboard,
        earlier=open_finished(Path(reuse)) if reuse is not None else None,
        cache=cache_folder(cache, Path(images)),
    )
    with plugins(plugin):
        return _train(asked, Path(out), dry_run=dry_run, overwrite=overwrite, reporter=reporter)


def _train(asked: _Asked, out: Path, *, dry_run: bool, overwrite: bool, reporter: Reporter) -> dict[str, Any]:
    """Read and check the input, and open the run."""
    if asked.method is not None and asked.truth is None and methods.get(asked.method).needs_truth:
        raise UsageError(f"--method {asked.method} needs the true labels", hint="Give --truth TRUTH.csv.")
    if asked.earlier is not None:
        refuse_own(out, asked.earlier.root)
        options, request = _as_audited(asked.earlier, asked.options, asked.request, reporter)
        asked = replace(asked, options=options, request=request)
    ingested = read_aloud(asked.images, asked.labels, asked.options, reporter=reporter)
    if asked.earlier is not None:
        ingested = pin_verdicts(ingested, asked.earlier, verdicts_now(asked.earlier, ingested, reporter), reporter)
    if asked.test is not None:
        ingested = set_tested_aside(ingested, asked.tested_files, asked.test, reporter=reporter)
    if dry_run:
        stopwatch = Stopwatch(ingested)
        plan = _decide(asked, ingested, stopwatch=stopwatch)
        count = _num_trainings(asked, plan)
        return estimate_training(ingested, plan, out=out, num_trainings=count, stopwatch=stopwatch, reporter=reporter)
    if overwrite:
        _decide(asked, ingested)  # what cannot work is refused before anything is deleted
    with open_run(out, overwrite=overwrite, reporter=reporter) as run:
        return _run(run, asked, ingested, _claim(run, asked, ingested), reporter)


def _as_audited(
    earlier: FinishedRun, options: IngestOptions, request: PlanRequest, reporter: Reporter
) -> tuple[IngestOptions, PlanRequest]:
    """Read and plan as the audit did where the user does not say otherwise; its probe's settings mean nothing here."""
    asked = request.overrides or {}
    request = inherit_request(earlier, request, reporter, keeps_budget=False)
    known = {stage: values for stage, values in (request.overrides or {}).items() if stage in STAGES or stage in asked}
    return inherit_options(earlier, options, reporter), replace(request, overrides=known)


def _claim(run: RunDir, asked: _Asked, ingested: Ingested) -> dict[str, str]:
    """Say what the run is of; returns the fingerprints of its inputs."""
    inputs = {"labels": ingested.table.fingerprint, "images": ingested.files_fingerprint}
    if asked.earlier is not None:
        inputs["verdicts"] = verdicts_mark(asked.earlier, ingested)
    run.claim("train", inputs, describe=describe_inputs(asked.images, asked.labels, asked.options))
    return inputs


def _others(asked: _Asked, ingested: Ingested) -> list[str]:
    """Files for the pre-training alone; none that is tested on."""
    if not asked.request.use_unlabelled:
        return []
    return find_unlabelled(asked.images, ingested, but=asked.tested_files)


def _decide(asked: _Asked, ingested: Ingested, *, stopwatch: Stopwatch | None = None) -> TrainPlan:
    """Decide the plan."""
    return decide_training(
        asked.request,
        asked.method,
        asked.origin,
        ingested,
        num_unlabelled=len(_others(asked, ingested)),
        num_trainings=functools.partial(_num_trainings, asked),
        stopwatch=stopwatch,
    )


def _num_trainings(asked: _Asked, plan: TrainPlan) -> int:
    return num_trainings(plan.method) if asked.compares else 1


def _run(run: RunDir, asked: _Asked, ingested: Ingested, inputs: dict[str, str], reporter: Reporter) -> dict[str, Any]:
    """All stages, in order; several processes share the pre-training alone, and meet before anything takes long."""
    with gathered(asked.request.processes, choose_runtime(asked.request.device).device.type):
        plan, prepared, test, start = _make_ready(run, asked, ingested, inputs, reporter)
    truth_N = None if asked.truth is None else read_truth(asked.truth, prepared.table, asked.options)
    job = main_job(prepared, plan, truth_N, judges_by_verified=asked.compares and test is None)
    embedded = embed_stage(run, prepared, None, plan.base, reporter=reporter, unseen_N=~job.train_N)
    trained = [train_stage(run, prepared, embedded, start, job, plan, reporter=reporter, tensorboard=asked.tensorboard)]
    if asked.compares:
        trained += compare_stages(
            run, prepared, embedded, start, trained[0], plan, reporter=reporter, tensorboard=asked.tensorboard
        )
    return training_report_stage(run, prepared, embedded, trained, test, truth_N, plan, reporter=reporter)


def _make_ready(
    run: RunDir, asked: _Asked, ingested: Ingested, inputs: dict[str, str], reporter: Reporter
) -> tuple[TrainPlan, Prepared, TestSet | None, Start]:
    """The plan, the images to train on and to judge by, and what the nets start from."""
    decide = functools.partial(_decide, asked, ingested)
    plan = settle_plan(run.root / "plan.json", asked.request, decide, TrainPlan.from_json, method=asked.method)
    for name, reason in plan.reasons.items():
        reporter.say(f"{name}: {reason}")
    stores = [] if asked.earlier is None else [stored_images(asked.earlier.run)]
    everything = prepare_stage(
        run, ingested, plan.base, inputs=inputs, reporter=reporter, cache=asked.cache, stores=stores
    )
    prepared, test = split_off_test(everything, is_judge=asked.test is None, reporter=reporter)
    if asked.test is not None:
        test = prepare_test_stage(
            run, asked.images, asked.test, asked.test_options, prepared, plan.base, reporter=reporter
        )
    prepared, test = group_stage(run, prepared, test, reporter=reporter)
    plan = replace(plan, base=settle_views(plan.base, prepared, reporter=reporter))
    keep_plan(run.root / "plan.json", plan.to_json())
    tested = () if test is None else test.content_N.tolist()
    unlabelled = None
    if asked.request.use_unlabelled:
        known = [*everything.content_N, *tested]
        unlabelled = unlabelled_stage(run, _others(asked, ingested), known, plan.base, reporter=reporter)
    taken = None
    if asked.earlier is not None:
        taken = take_pretraining(
            asked.earlier, prepared, plan.base, tested=tested, unlabelled=unlabelled, reporter=reporter
        )
    start = start_stage(run, asked.origin, prepared, plan.base, reporter=reporter, instead=taken, unlabelled=unlabelled)
    return plan, prepared, test, start
