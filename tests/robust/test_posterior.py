"""What the labels of a training probably are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from noisyclean.pipeline.posterior import posterior_of
from noisyclean.types import BoolArray, FloatArray, IntArray

CLASSES = ("ant", "bee", "cat")


def trained(num: int = 2_000) -> tuple[IntArray, IntArray, FloatArray, FloatArray, BoolArray]:
    """Given and true classes, two opinions, and the rows that are trained on."""
    draw = np.random.default_rng(0)
    true_N = draw.integers(0, 3, num)
    label_N = np.where(draw.random(num) < 0.3, (true_N + draw.integers(1, 3, num)) % 3, true_N)

    def opinion(scale: float) -> FloatArray:
        log_p_NC: FloatArray = log_softmax(draw.normal(0, 1, (num, 3)) + scale * np.eye(3)[true_N], axis=1)
        return log_p_NC

    return label_N, true_N, opinion(2.5), opinion(1.5), np.arange(num) % 10 > 0


def test_it_is_right_more_often_than_the_labels_and_than_the_nets() -> None:
    label_N, true_N, nets_NC, outside_NC, train_N = trained()
    posterior_NC = posterior_of(label_N, train_N, outside_NC, classes=CLASSES)(nets_NC)
    assert posterior_NC.sum(axis=1) == pytest.approx(1)
    right = (posterior_NC.argmax(axis=1) == true_N)[train_N].mean()
    assert right > max((label_N == true_N)[train_N].mean(), (nets_NC.argmax(axis=1) == true_N)[train_N].mean())


def test_labels_that_are_not_trained_on_play_no_part() -> None:
    label_N, _, nets_NC, outside_NC, train_N = trained()
    changed_N = np.where(train_N, label_N, (label_N + 1) % 3)
    one, other = (
        posterior_of(labels, train_N, outside_NC, classes=CLASSES)(nets_NC) for labels in (label_N, changed_N)
    )
    assert (one == other).all()
    assert one[~train_N] == pytest.approx(np.exp(nets_NC[~train_N]))
