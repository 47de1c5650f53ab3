"""What to train: which rows, with which labels, and what is held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from noisyclean.data.ingest import IngestOptions
from noisyclean.data.splits import choose_holdout
from noisyclean.errors import DataError
from noisyclean.pipeline.evaluate import true_labels
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.training import Job
from noisyclean.pipeline.training_plan import TrainPlan, budget_facts
from noisyclean.robust.method import methods
from noisyclean.types import BoolArray, IntArray, LabelTable, SampleStats

__all__ = [
    "baseline_job",
    "main_job",
    "pruned_job",
    "read_truth",
    "relabelled_job",
    "verified_judges",
    "without_judges",
]

BASELINE = "cross-entropy"
FEWEST_JUDGES = 50
"""Of fewer verified images nothing can be said."""


def main_job(prepared: Prepared, plan: TrainPlan, truth_N: IntArray | None, *, judges_by_verified: bool) -> Job:
    """The training that was asked for.

    Args:
        prepared: The images.
        plan: Method and settings.
        truth_N: True classes, where they are known; an oracle needs them.
        judges_by_verified: Hold the verified rows out, to judge by them, if there are enough.

    Raises:
        DataError: Too little is left to train on.
    """
    needs_truth = methods.get(plan.method).needs_truth
    table = prepared.table
    held_out_N = choose_holdout(table, share=plan.holdout.share, most=plan.holdout.most, seed=plan.base.seed)
    train_N = ~held_out_N
    if judges_by_verified:
        train_N, held_out_N = without_judges(table, train_N, held_out_N)
    if len(np.unique(table.label_N[train_N])) < 2 or train_N.sum() < 4:
        raise DataError(
            f"only {int(train_N.sum()):,} images are left to train on",
            hint="Hold fewer out: --set holdout.share=0; and give --test CSV where verified images would be the judge.",
        )
    return Job(
        name=plan.method,
        method=plan.method,
        settings=plan.robust,
        label_N=table.label_N,
        train_N=train_N,
        held_out_N=held_out_N,
        truth_N=truth_N if needs_truth else None,
    )


def without_judges(table: LabelTable, train_N: BoolArray, held_out_N: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Rows to train on and to select by without the verified ones; as they are where these are too few to judge by.

    A class never loses its last training image.
    """
    if table.verified_N is None:
        return train_N, held_out_N
    rest_N = train_N & ~table.verified_N
    for label in np.setdiff1d(table.label_N[train_N], table.label_N[rest_N]):
        rest_N[np.flatnonzero(train_N & (table.label_N == label))[0]] = True
    selects_N = held_out_N & ~table.verified_N
    if not verified_judges(table, rest_N | selects_N).any():
        return train_N, held_out_N
    return rest_N, selects_N


def verified_judges(table: LabelTable, used_N: BoolArray) -> BoolArray:
    """Verified rows of which no group was used; none where they are too few to say anything."""
    is_judge_N = np.zeros(len(table), dtype=bool) if table.verified_N is None else table.verified_N & ~used_N
    if table.group_N is not None:
        is_judge_N &= ~np.isin(table.group_N, table.group_N[used_N])
    if is_judge_N.sum() < FEWEST_JUDGES:
        is_judge_N[:] = False
    return is_judge_N


def baseline_job(prepared: Prepared, main: Job, plan: TrainPlan) -> Job:
    """Cross-entropy with mixup and a weight average, at the main training's budget, on the same rows."""
    facts = budget_facts(plan, prepared.table.num_classes)
    settings, _ = methods.get(BASELINE).plan(plan.base.preset, facts)
    return replace(main, name=BASELINE, method=BASELINE, settings=settings, truth_N=None)


def pruned_job(baseline: Job, stats: SampleStats, table: LabelTable) -> Job:
    """The baseline without the rows that were flagged; a class of which all were keeps its least suspicious one."""
    kept_N = _doubted(stats, table, baseline.train_N) ^ True
    for label in np.unique(table.label_N[baseline.train_N]):
        members = np.flatnonzero((table.label_N == label) & baseline.train_N)
        if not kept_N[members].any():
            kept_N[members[stats.p_mislabeled_N[members].argmin()]] = True
    return replace(baseline, name=f"{BASELINE}-pruned", train_N=baseline.train_N & kept_N)


def relabelled_job(baseline: Job, stats: SampleStats, table: LabelTable) -> Job:
    """The baseline with the suggested label on the rows that were flagged."""
    doubted_N = _doubted(stats, table, baseline.train_N)
    label_N = np.where(doubted_N, stats.suggestion_N, baseline.label_N)
    return replace(baseline, name=f"{BASELINE}-relabelled", label_N=label_N)


def read_truth(path: Path, table: LabelTable, like: IngestOptions) -> IntArray:
    """True class of each row; -1 for a class that no label names. Truth is read as the labels are.

    Raises:
        DataError: Rows are missing.
    """
    return table.class_indices(true_labels(pd.Series(table.image_path_N), path, like))


def _doubted(stats: SampleStats, table: LabelTable, train_N: BoolArray) -> BoolArray:
    """Flagged rows that are trained on; nobody doubts what a person verified."""
    doubted_N = stats.flagged_N & train_N
    return doubted_N if table.verified_N is None else doubted_N & ~table.verified_N
