"""cleanlab beside an audit: on cross-validated probabilities, of an ordinary training and of ours, at equal cost.

    python -m noisyclean.bench.cross_validation RUN --truth TRUTH.csv --training plain --epochs 12
    python -m noisyclean.bench.cross_validation RUN --truth TRUTH.csv --training ours --epochs 12

RUN is a finished audit: the same decoded images, the same net and the same views are used. ``plain`` is cross-entropy
with crops and flips, SGD, batch 256; ``ours`` adds mixup and the weight average, with the audit's optimiser, batch and
rate. Prints seconds and, for each of cleanlab's three scores, AUROC, average precision and precision at k.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from noisyclean.base.log import Silent
from noisyclean.config import ProbeConfig
from noisyclean.data.augment import training_views
from noisyclean.data.batches import load_pixels
from noisyclean.data.journal import open_store
from noisyclean.data.rows import ImageRows
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.inference import evaluation_views, log_probabilities
from noisyclean.engine.loop import fit
from noisyclean.nn import create_backbone
from noisyclean.pipeline.evaluate import true_labels
from noisyclean.pipeline.finished import FinishedRun, open_finished
from noisyclean.pipeline.machine import machine
from noisyclean.pipeline.preparing import stored_images
from noisyclean.robust.probe import Probe
from noisyclean.types import FloatArray, IntArray

METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


class _Unrecorded(Probe):
    """A training that records nothing in sample."""

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Nothing."""
        del epoch
        return {}


def main() -> None:
    """Read the options, train, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--training", choices=("plain", "ours"), default="plain")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    finished = open_finished(asked.run)
    scores = finished.scores[finished.scores["p_mislabeled"] != ""]
    index = {name: place for place, name in enumerate(finished.classes)}
    label_N: IntArray = scores["given_label"].map(index).to_numpy().astype(np.int64)
    start = time.monotonic()
    p_NC = cross_validate(finished, label_N, asked)
    seconds = time.monotonic() - start
    is_wrong_N = true_labels(scores["image_path"], asked.truth) != scores["given_label"].to_numpy()
    print(json.dumps({"training": asked.training, "seconds": round(seconds, 1), **judge(label_N, p_NC, is_wrong_N)}))


def cross_validate(finished: FinishedRun, label_N: IntArray, asked: argparse.Namespace) -> FloatArray:
    """Out-of-sample probabilities, shape (N, C)."""
    plan = finished.plan
    config = replace(plan.probe, epochs=asked.epochs)
    if asked.training == "plain":
        config = ProbeConfig(epochs=asked.epochs, batch=256, optimizer="sgd", lr=0.1, mixup_alpha=0.0, ema_decay=0.0)
    store = open_store(stored_images(finished.run))
    images_NHWI = ImageRows(store.images_NHWI).where(store.failure_N == "")
    augmentation = training_views(plan.augment, is_strong=False)
    p_NC = np.zeros((len(label_N), len(finished.classes)))
    folds = StratifiedKFold(asked.folds, shuffle=True, random_state=asked.seed).split(p_NC, label_N)
    with machine(plan) as runtime:
        whole = load_pixels(images_NHWI, runtime.device)
        for number, (train, held) in enumerate(folds):
            label = torch.from_numpy(label_N[train]).to(runtime.device)
            net = create_backbone(plan.backbone, num_classes=p_NC.shape[1], seed=asked.seed, key=("fold", number))
            task = _Unrecorded(
                pixels=whole.only(torch.from_numpy(train)),
                label_N=label,
                weight_N=torch.ones(len(label), device=runtime.device),
                net=net.to(runtime.device),
                net_index=number,
                augmentation=augmentation,
                config=config,
                runtime=runtime,
                seed=asked.seed,
            )
            with tempfile.TemporaryDirectory() as folder:
                checkpoint = Checkpoint(Path(folder) / "checkpoint.pt")
                fit(task, title=f"fold {number}", num_epochs=config.epochs, checkpoint=checkpoint, reporter=Silent())
            views = evaluation_views(augmentation, whole.size_px)
            asked_of = whole.only(torch.from_numpy(held))
            p_NC[held] = log_probabilities(task.average.model, asked_of, views, runtime).exp().cpu().numpy()
    return p_NC


def judge(label_N: IntArray, p_NC: FloatArray, is_wrong_N: np.ndarray) -> dict[str, dict[str, float]]:
    """Compare the scores of cleanlab with the truth."""
    from cleanlab.rank import get_label_quality_scores

    figures: dict[str, dict[str, float]] = {}
    for method in METHODS:
        adjusted = method != "confidence_weighted_entropy"
        for adjust in (False, True) if adjusted else (False,):
            suspicion = -get_label_quality_scores(label_N, p_NC, method=method, adjust_pred_probs=adjust)
            worst = np.argsort(-suspicion, kind="stable")[: int(is_wrong_N.sum())]
            figures[method + (" adjusted" if adjust else "")] = {
                "auroc": round(float(roc_auc_score(is_wrong_N, suspicion)), 4),
                "ap": round(float(average_precision_score(is_wrong_N, suspicion)), 4),
                "p_at_k": round(float(is_wrong_N[worst].mean()), 4),
            }
    return figures


if __name__ == "__main__":
    main()
