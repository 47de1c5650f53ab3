"""The main job: find the mislabelled images and write what an annotator needs. Every step, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from noisyclean.base.log import Reporter, Silent
from noisyclean.base.runtime import choose_runtime
from noisyclean.config import Plan, read_overrides
from noisyclean.data.ingest import Ingested, IngestOptions
from noisyclean.engine.team import gathered, team_size
from noisyclean.pipeline.budget import decide_audit, parse_budget
from noisyclean.pipeline.detecting import score_stage
from noisyclean.pipeline.embedding import embed_stage
from noisyclean.pipeline.finished import FinishedRun, describe_inputs, open_finished
from noisyclean.pipeline.gate import check_gate, pass_gate
from noisyclean.pipeline.given import check_files, given_stage
from noisyclean.pipeline.learning import Learned, pretrain_stage, probe_stage
from noisyclean.pipeline.looking import look_stage
from noisyclean.pipeline.moved import verdicts_now
from noisyclean.pipeline.origin import resolve_origin
from noisyclean.pipeline.plan import PlanRequest, keep_plan, settle_plan
from noisyclean.pipeline.preparing import Prepared, cache_folder, prepare_stage, read_aloud, stored_images
from noisyclean.pipeline.reporting import report_stage
from noisyclean.pipeline.reuse import Carried, carry_over
from noisyclean.pipeline.rounds import (
    begin_round,
    describe_change,
    inherit_options,
    inherit_request,
    pin_verdicts,
    verdicts_mark,
    what_changed,
)
from noisyclean.pipeline.rundir import RunDir, open_run, refuse_inside, refuse_own
from noisyclean.pipeline.unlabelled import Unlabelled, find_unlabelled, unlabelled_stage
from noisyclean.pipeline.viewing import settle_views
from noisyclean.registry import plugins

__all__ = ["audit"]


def audit(
    images: str | Path,
    labels: str | Path | None = None,
    *,
    out: str | Path,
    preset: str = "standard",
    budget: str | None = None,
    init: str = "simclr",
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
    fail_above: float | None = None,
    embeddings: str | Path | None = None,
    pred_probs: str | Path | None = None,
    use_unlabelled: bool = False,
    reuse: str | Path | None = None,
    cache: str | Path | None = None,
    plugin: Iterable[str | Path] = (),
    config: str | Path | None = None,
    set: Iterable[str] = (),
    dry_run: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Find mislabelled images.

    The same call continues an interrupted run and does nothing when it is finished.

    Args:
        images: Folder of the images; never written to.
        labels: CSV, TSV, semicolon, Parquet or xlsx table with a path and a label for each image; without it, one
            folder per class.
        out: The run directory.
        preset: ``quick``, ``standard``, ``thorough`` or ``paper``.
        budget: Time for all, such as ``90s``, ``30m`` or ``1.5h``: the best of quick, standard and thorough that fits
            by what it costs here is taken instead of ``preset``, and kept for the run.
        init: What the networks start from: ``simclr`` (the images themselves, as far as the plan gives it passes) or
            ``scratch``. With ``pretrained:NAME`` (may download), ``local-dir:PATH`` or ``run:RUN`` none is trained: the
            backbone embeds every image as it is, and a closed-form classifier on that judges the labels.
        backbone: A timm name.
        size: Side in pixels every image is resized to.
        augment: ``auto``, ``natural``, ``grey``, ``oriented`` or ``none``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        gpus: Processes that train and look for neighbours together, one for each accelerator.
        seed: Of everything random.
        encoding: Of the table.
        image_column: Name of the column of paths.
        label_column: Name of the column of labels; several, separated by commas, where each annotator has one.
        group_column: Images of one group (patient, part, burst) never vote for each other.
        split_column: Name of the column that says train or test.
        annotator_column: Name of the column that says whose label a row is; the majority is an image's label.
        class_level: Which level of folders names the class where there is no table; 1 is the top one.
        unlabeled: Labels or folder names, separated by commas, that mean there is no label.
        strip_prefix: Taken off every path of the table before it is looked for.
        max_bad: Largest share of unusable rows to go on with.
        fail_above: Largest estimated share of wrong labels that passes.
        embeddings: Features of your own, judged by without any training: ``.npz`` or Parquet with a column
            ``image_path``, or ``.npy`` in the order of ``labels``' rows.
        pred_probs: Class probabilities of your own, out of sample; the same kinds of file, columns in the order of the
            classes or named by them.
        use_unlabelled: Images of the folder that have no label or are not listed are shown to the pre-training too, as
            far as the plan has one; they are never judged.
        reuse: An earlier run, usually reviewed since: what it decoded and learned is taken over, verified labels are
            pinned, and what is not set here is set as it was there.
        cache: Folder where decoded images are kept and shared between runs, instead of in ``out``;
            ``NOISYCLEAN_CACHE_DIR`` by default.
        plugin: Python files that add signals or methods.
        config: A TOML file of stage settings.
        set: Single settings, ``stage.key=value``.
        dry_run: Read and check everything, decide the plan, estimate time, memory and sizes; write nothing.
        overwrite: Replace what an earlier run wrote to ``out``; what people filled in or decided is moved aside.
        reporter: Hears about messages and progress.

    Returns:
        What ``summary.json`` holds, and with ``fail_above`` also ``passed``: whether the estimated share of wrong
        labels is at most that; with ``dry_run`` the plan and its estimated cost.

    Raises:
        UsageError: An option that cannot work.
        DataError: Input that cannot be used.
        EnvironmentProblem: The machine is short of something.
        Interrupted: Stopped by the user; the same call continues.
    """
    reporter = reporter or Silent()
    check_gate(fail_above)
    refuse_inside(Path(images), Path(out))
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
        embeddings=str(Path(embeddings).absolute()) if embeddings else None,
        pred_probs=str(Path(pred_probs).absolute()) if pred_probs else None,
        use_unlabelled=use_unlabelled,
        overrides=read_overrides(Path(config) if config else None, set),
    )
    asked = _Asked(
        images=Path(images),
        labels=Path(labels) if labels else None,
        options=options,
        request=request,
        earlier=open_finished(Path(reuse)) if reuse is not None else None,
        cache=cache_folder(cache, Path(images)),
    )
    with plugins(plugin):
        found = _audit(asked, Path(out), dry_run=dry_run, overwrite=overwrite, reporter=reporter)
    if dry_run or fail_above is None:
        return found
    return found | pass_gate(found["noise_rate"]["estimate"], fail_above)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is asked of an audit."""

    images: Path
    labels: Path | None
    options: IngestOptions
    request: PlanRequest
    earlier: FinishedRun | None
    """The audit to take over from."""
    cache: Path | None


def _audit(asked: _Asked, out: Path, *, dry_run: bool, overwrite: bool, reporter: Reporter) -> dict[str, Any]:
    """Read and check the input, and open the run."""
    earlier = asked.earlier
    if earlier is not None:
        refuse_own(out, earlier.root)
        options = inherit_options(earlier, asked.options, reporter)
        asked = replace(asked, options=options, request=inherit_request(earlier, asked.request, reporter))
    ingested = read_aloud(asked.images, asked.labels, asked.options, reporter=reporter)
    if earlier is not None:
        verdicts = verdicts_now(earlier, ingested, reporter)
        ingested = pin_verdicts(ingested, earlier, verdicts, reporter)
    if dry_run:
        from noisyclean.pipeline.estimate import estimate

        num = len(_others(asked, ingested))
        return estimate(ingested, asked.request, out=out, reporter=reporter, num_unlabelled=num)
    check_files(ingested, asked.request)
    if overwrite:
        _decide(asked, ingested)  # what cannot work is refused before anything is deleted
    with open_run(out, overwrite=overwrite, reporter=reporter) as run:
        inputs = {"labels": ingested.table.fingerprint, "images": ingested.files_fingerprint}
        if earlier is not None:
            inputs["verdicts"] = verdicts_mark(earlier, ingested)
        run.claim("audit", inputs, describe=describe_inputs(asked.images, asked.labels, asked.options))
        if earlier is not None:
            begin_round(earlier, verdicts, run, asked.request)
        with gathered(asked.request.processes, choose_runtime(asked.request.device).device.type):
            return _run(run, ingested, asked, inputs, reporter)


def _others(asked: _Asked, ingested: Ingested) -> list[str]:
    """Files for the pre-training alone."""
    return find_unlabelled(asked.images, ingested) if asked.request.use_unlabelled else []


def _decide(asked: _Asked, ingested: Ingested) -> Plan:
    """Decide the plan."""
    return decide_audit(asked.request, ingested, num_unlabelled=len(_others(asked, ingested)))


def _run(run: RunDir, ingested: Ingested, asked: _Asked, inputs: dict[str, str], reporter: Reporter) -> dict[str, Any]:
    """All stages, in order."""
    request, earlier = asked.request, asked.earlier
    plan = settle_plan(run.root / "plan.json", request, partial(_decide, asked, ingested), Plan.from_json)
    for name, reason in plan.reasons.items():
        reporter.say(f"{name}: {reason}")
    stores = [] if earlier is None else [stored_images(earlier.run)]
    prepared = prepare_stage(run, ingested, plan, inputs=inputs, reporter=reporter, cache=asked.cache, stores=stores)
    plan = settle_views(plan, prepared, reporter=reporter)
    keep_plan(run.root / "plan.json", plan.to_json())
    unlabelled = None
    if request.use_unlabelled:
        others = _others(asked, ingested)
        unlabelled = unlabelled_stage(run, others, prepared.content_N.tolist(), plan, reporter=reporter)
    carried = carry_over(earlier, prepared, plan, unlabelled=unlabelled, reporter=reporter)
    learned = _learn(run, ingested, prepared, carried, request, plan, reporter, unlabelled)
    scored = score_stage(run, prepared, learned, plan, reporter=reporter)
    compare = None if earlier is None else partial(what_changed, earlier, run, prepared, carried)
    summary = report_stage(run, prepared, learned, scored, plan, reporter=reporter, compare=compare)
    if earlier is not None:
        reporter.say(describe_change(summary["since"]))
    return summary


def _learn(
    run: RunDir,
    ingested: Ingested,
    prepared: Prepared,
    carried: Carried,
    request: PlanRequest,
    plan: Plan,
    reporter: Reporter,
    unlabelled: Unlabelled | None,
) -> Learned:
    """Opinions on every label, by one of three ways: arrays that are given, a frozen backbone, or nets trained here."""
    if plan.way == "given":
        return given_stage(run, ingested, prepared, request, plan, reporter=reporter)
    if plan.way == "frozen":
        from noisyclean.pipeline.frozen import frozen_stage
        from noisyclean.pipeline.starting import start_stage

        origin = resolve_origin(request.init, request.backbone)
        begin = start_stage(run, origin, prepared, plan, reporter=reporter)
        return frozen_stage(run, prepared, begin, plan, reporter=reporter)
    embedded = embed_stage(run, prepared, None, plan, reporter=reporter)
    look_stage(run, prepared, embedded, plan, reporter=reporter)
    start = pretrain_stage(run, prepared, plan, reporter=reporter, instead=carried.pretraining, unlabelled=unlabelled)
    if start is not None:
        pretrained = embed_stage(run, prepared, start, plan, reporter=reporter)
        embedded = max(embedded, pretrained, key=attrgetter("accuracy"))
    return probe_stage(run, prepared, start, embedded, plan, reporter=reporter, instead=carried.evidence)
