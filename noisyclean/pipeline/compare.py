"""``--compare``: the same budget and start with simpler means, and who wins, if that can be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from noisyclean.base.log import Reporter
from noisyclean.ops.agreement import Z95
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.starting import Start
from noisyclean.pipeline.testing import Tested
from noisyclean.pipeline.training import Job, Trained, train_stage
from noisyclean.pipeline.training_jobs import BASELINE, baseline_job, pruned_job, relabelled_job
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.pipeline.training_scores import score_training

__all__ = ["compare_stages", "comparison", "num_trainings"]


def compare_stages(
    run: RunDir,
    prepared: Prepared,
    embedded: Embedded,
    start: Start,
    main: Trained,
    plan: TrainPlan,
    *,
    reporter: Reporter,
    tensorboard: bool = False,
) -> list[Trained]:
    """Train the baseline, and the baseline on the pruned and on the relabelled set; all but ``main`` itself."""

    def train(job: Job) -> Trained:
        return train_stage(run, prepared, embedded, start, job, plan, reporter=reporter, tensorboard=tensorboard)

    baseline = main
    trained: list[Trained] = []
    if main.job.name != BASELINE:
        baseline = train(baseline_job(prepared, main.job, plan))
        trained.append(baseline)
    stats = score_training(baseline, prepared, embedded, plan)
    for job in (pruned_job(baseline.job, stats, prepared.table), relabelled_job(baseline.job, stats, prepared.table)):
        trained.append(train(job))
    return trained


def num_trainings(method: str) -> int:
    """Trainings of a comparison: the baseline, the same on two other label sets, and the method if it is another."""
    return 3 if method == BASELINE else 4


def comparison(tested: Mapping[str, Tested], *, judge: str) -> dict[str, Any]:
    """Rows from best to worst, and a sentence that names the winner or says why there is none.

    The difference of the first two is judged by the images on which they differ (a paired comparison), so the
    difficulty of the test images that both get wrong plays no part.

    Args:
        tested: Each training's figures on the same images.
        judge: What those images are, in words; empty where there are none.
    """
    if not tested:
        sentence = (
            "It cannot be judged who wins: there are no clean labels to judge by. Give --test CSV, or review some "
            "images and train on the reviewed run."
        )
        return {"rows": [], "verdict": sentence, "winner": None}
    order = sorted(tested, key=lambda name: (-tested[name].figures["accuracy"], name))
    rows = [
        {
            "name": name,
            "test_accuracy": tested[name].figures["accuracy"],
            "selected_test_accuracy": tested[name].figures["selected_accuracy"],
        }
        for name in order
    ]
    first, second = (tested[name].is_right_N.astype(np.float64) for name in order[:2])
    difference = float((first - second).mean())
    reach = Z95 * float((first - second).std()) / len(first) ** 0.5
    what = f"{order[0]} with {first.mean():.1%}, {order[1]} with {second.mean():.1%}, on {judge}"
    if difference <= reach:
        return {"rows": rows, "verdict": f"Too close to call: {what}.", "winner": None}
    return {"rows": rows, "verdict": f"{order[0]} wins: {what}.", "winner": order[0]}
