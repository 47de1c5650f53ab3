"""What a robust training says about the labels: the signals read its evidence as they read an audit's."""

from __future__ import annotations

import torch

from noisyclean.base.runtime import use_threads
from noisyclean.detect.fuse import fuse
from noisyclean.pipeline.detecting import apply_signals, settle_certain
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.training import Trained
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.types import SampleStats

__all__ = ["score_training"]


def score_training(trained: Trained, prepared: Prepared, plan: TrainPlan) -> SampleStats:
    """Apply every signal whose evidence the training left, fuse them, and put what is known before what is likely."""
    with use_threads(plan.base.threads):
        scores = apply_signals(trained.evidence, plan.base.score, device=torch.device(plan.base.device))
    return settle_certain(fuse(trained.evidence, scores, classes=prepared.table.classes), prepared)
