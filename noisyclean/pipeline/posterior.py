"""What the labels of a training probably are, as soon as its nets have an opinion: judged as an audit judges them."""

from __future__ import annotations

import numpy as np

from noisyclean.detect.fuse import fuse, label_posterior
from noisyclean.robust.method import Posterior
from noisyclean.types import BoolArray, Evidence, FloatArray, IntArray

__all__ = ["posterior_of"]


def posterior_of(
    label_N: IntArray, train_N: BoolArray, outside_log_p_NC: FloatArray, *, classes: tuple[str, ...]
) -> Posterior:
    """Judge the labels that are trained on by the nets and by the left-out classifier.

    Args:
        label_N: Given class indices.
        train_N: Rows trained on; the others' labels play no part.
        outside_log_p_NC: The left-out classifier's opinion.
        classes: Names of the classes.
    """

    def posterior(log_p_NC: FloatArray) -> FloatArray:
        evidence = Evidence(
            label_N=label_N[train_N],
            num_classes=len(classes),
            log_p_NC=log_p_NC[train_N],
            outside_log_p_NC=outside_log_p_NC[train_N],
        )
        stats = fuse(evidence, {}, classes=classes)
        posterior_NC: FloatArray = np.exp(log_p_NC)
        posterior_NC[train_N] = label_posterior(stats.p_NC, evidence.label_N, stats.p_mislabeled_N)
        return posterior_NC

    return posterior
