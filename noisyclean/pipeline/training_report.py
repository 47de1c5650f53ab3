"""Stage ``report`` of a training: figures on unseen images, scores of the labels, the model folder, the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from noisyclean.base.files import read_json, write_json, write_text
from noisyclean.base.log import Reporter
from noisyclean.export.bundle import write_bundle
from noisyclean.export.card import model_card
from noisyclean.ops.metrics import detection_metrics
from noisyclean.pipeline.compare import comparison
from noisyclean.pipeline.detecting import outside_signals
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.machine import machine
from noisyclean.pipeline.preparing import Prepared, pixel_mapping
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import digest, run_stage
from noisyclean.pipeline.testing import Tested, TestSet, test_model
from noisyclean.pipeline.training import METRICS, Trained
from noisyclean.pipeline.training_jobs import verified_judges
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.pipeline.training_scores import score_training
from noisyclean.report.flags import score_table, to_csv
from noisyclean.report.training import render_training_page, summarise_training
from noisyclean.robust.watch import HELD_OUT
from noisyclean.types import IntArray, SampleStats

__all__ = ["training_report_stage"]


def training_report_stage(
    run: RunDir,
    prepared: Prepared,
    embedded: Embedded,
    trained: list[Trained],
    test: TestSet | None,
    truth_N: IntArray | None,
    plan: TrainPlan,
    *,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write all outputs; returns ``summary.json``.

    Args:
        run: The run directory.
        prepared: The images trained on.
        embedded: What a classifier says that left each of them out.
        trained: The training that was asked for, then what it is compared with.
        test: Images to judge by.
        truth_N: True classes, to judge the detection by.
        plan: The plan.
        reporter: Hears about the progress.
    """
    main = trained[0]
    test = test or _verified_held_out(prepared, main)

    def work(_: Path) -> list[Path]:
        tested = _test_all(trained, test, prepared, plan)
        stats = {
            one.job.name: score_training(one, prepared, embedded, plan)
            for one in trained
            if _has_given_labels(one, prepared)
        }
        for note in stats[main.job.name].notes:
            reporter.say(note)
        summary = summarise_training(
            prepared.table,
            method=main.job.name,
            stats=stats[main.job.name],
            test=None if test is None else tested[main.job.name].figures,
            held_out=_held_out(main),
            comparison=None if len(trained) == 1 else comparison(tested, judge="" if test is None else test.source),
            detection=None if truth_N is None else _detection(stats[main.job.name], prepared, truth_N),
            scores=_scores_path(main.job.name),
            notes=main.record["notes"],
            plan=plan.to_json(),
            stages=run.costs,
        )
        outputs = [_write_scores(run, name, prepared, stats[name]) for name in stats]
        outputs += _write_model(run.root / "model", main, prepared, plan, summary)
        lines = "".join((one.stage.folder / METRICS).read_text(encoding="utf-8") for one in trained)
        page = render_training_page(summary, {one.job.name: one.history for one in trained})
        for name, text in ((METRICS, lines), ("report.html", page)):
            write_text(run.root / name, text)
            outputs.append(run.root / name)
        write_json(run.root / "summary.json", summary)
        return [*outputs, run.root / "summary.json"]

    inputs = {one.name: one.fingerprint for one in (prepared.stage, embedded.stage, *(one.stage for one in trained))}
    if test is not None:
        inputs["test"] = test.fingerprint
    if truth_N is not None:
        inputs["truth"] = digest(truth_N)
    settings = {"num_neighbours": plan.base.score.num_neighbours} | outside_signals()
    run_stage(run, "report", work, settings=settings, inputs=inputs, reporter=reporter)
    summary: dict[str, Any] = read_json(run.root / "summary.json")
    return summary


def _test_all(trained: list[Trained], test: TestSet | None, prepared: Prepared, plan: TrainPlan) -> dict[str, Tested]:
    if test is None:
        return {}
    with machine(plan.base) as runtime:
        return {one.job.name: test_model(one, test, plan.base, runtime, prepared.table.classes) for one in trained}


def _verified_held_out(prepared: Prepared, main: Trained) -> TestSet | None:
    """Verified rows that were neither trained on nor selected by: the judge without a test table."""
    table = prepared.table
    is_judge_N = verified_judges(table, main.job.train_N | main.job.held_out_N)
    rows = np.flatnonzero(is_judge_N)
    if not len(rows):
        return None
    return TestSet(
        images_NHWI=prepared.images_NHWI.where(is_judge_N),
        label_N=table.label_N[rows],
        content_N=prepared.content_N[rows],
        fingerprint=main.stage.fingerprint,
        source=f"{len(rows):,} verified images",
    )


def _held_out(main: Trained) -> dict[str, Any] | None:
    """Agreement with noisy labels that were not trained on; not an accuracy."""
    if not main.record["num_held_out"]:
        return None
    return {
        "num_images": main.record["num_held_out"],
        "agreement": main.history[-1][HELD_OUT],
        "selected_agreement": main.record["selected_agreement"],
        "selected_epoch": main.record["selected_epoch"],
    }


def _has_given_labels(one: Trained, prepared: Prepared) -> bool:
    return np.array_equal(one.job.label_N, prepared.table.label_N)


def _detection(stats: SampleStats, prepared: Prepared, truth_N: IntArray) -> dict[str, float | None]:
    """How well the training ranks the wrong labels."""
    is_wrong_N = prepared.table.label_N != truth_N
    return {
        **detection_metrics(stats.p_mislabeled_N, is_wrong_N),
        "noise_rate_true": float(is_wrong_N.mean()),
        "noise_rate_estimated": stats.noise.rate,
    }


def _scores_path(name: str) -> str:
    """Where in the run a training's scores of the labels are."""
    return f"train-{name}/scores.csv"


def _write_scores(run: RunDir, name: str, prepared: Prepared, stats: SampleStats) -> Path:
    path = run.root / _scores_path(name)
    write_text(path, to_csv(score_table(prepared.everything, stats, prepared.usable_N)))
    return path


def _write_model(
    folder: Path, main: Trained, prepared: Prepared, plan: TrainPlan, summary: Mapping[str, Any]
) -> list[Path]:
    files = write_bundle(
        folder,
        main.nets[0],
        architecture=plan.base.backbone,
        classes=prepared.table.classes,
        mapping=pixel_mapping(plan.base),
        mean=main.record["mean"],
        std=main.record["std"],
        method=main.job.name,
    )
    write_text(folder / "README.md", model_card(summary, architecture=plan.base.backbone))
    return [*files, folder / "README.md"]
