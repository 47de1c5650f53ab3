"""What a robust training says about the labels: the signals read its evidence as they read an audit's."""

from __future__ import annotations

from dataclasses import replace

import torch

from noisyclean.base.runtime import use_threads
from noisyclean.detect.fuse import fuse
from noisyclean.detect.neighbours import with_votes
from noisyclean.pipeline.detecting import apply_signals, settle_certain
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.training import Trained
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.types import SampleStats

__all__ = ["score_training"]


def score_training(trained: Trained, prepared: Prepared, embedded: Embedded, plan: TrainPlan) -> SampleStats:
    """Apply every signal whose evidence the training left, fuse them, and put what is known before what is likely.

    A training that weighed the left-out classifier's word itself is judged by both, held-out images like the others.
    For other trainings these are only witnesses: nets that were trained for long recognise far more than that
    classifier, and may know labels by heart.
    """
    evidence = trained.evidence
    if evidence.outside_log_p_NC is None:
        evidence = replace(evidence, witness_log_p_NC=embedded.outside_log_p_NC)
    else:
        evidence = replace(evidence, held_out_N=None)
    device = torch.device(plan.base.device)
    with use_threads(plan.base.threads):
        asked = with_votes(evidence, num_neighbours=plan.base.score.num_neighbours, device=device)
        scores = apply_signals(asked, device=device)
    return settle_certain(fuse(evidence, scores, classes=prepared.table.classes), prepared)
