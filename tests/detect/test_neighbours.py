"""Neighbours' votes against a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisyclean.detect.neighbours import SPREAD, opinion_of_votes, with_votes
from noisyclean.types import Evidence, FloatArray, IntArray

NUM, CLASSES, K = 60, 3, 5
CPU = torch.device("cpu")


def voted(z_ND: FloatArray, label_N: IntArray, group_N: IntArray | None) -> FloatArray:
    """Shares of the labels of the nearest others of other groups."""
    votes_NC = np.zeros((len(z_ND), CLASSES))
    for row, one in enumerate(z_ND):
        others = [
            (float(one @ z_ND[other]), label_N[other])
            for other in range(len(z_ND))
            if other != row and (group_N is None or group_N[other] != group_N[row])
        ]
        for _, label in sorted(others, reverse=True)[:K]:
            votes_NC[row, label] += 1 / K
    return votes_NC


@pytest.mark.parametrize("is_grouped", [False, True])
def test_votes_are_those_of_a_slow_loop(is_grouped: bool) -> None:
    draw = np.random.default_rng(0)
    z_ND = draw.normal(size=(NUM, 4)).astype(np.float32)
    z_ND /= np.linalg.norm(z_ND, axis=1, keepdims=True)
    label_N = draw.integers(0, CLASSES, NUM)
    group_N = np.arange(NUM) // 4 if is_grouped else None
    evidence = Evidence(label_N=label_N, num_classes=CLASSES, z_ND=z_ND, group_N=group_N)
    asked = with_votes(evidence, num_neighbours=K, device=CPU)
    first_NC = voted(z_ND, label_N, group_N)
    assert asked.votes_NC == pytest.approx(first_NC, abs=1e-6)
    assert asked.votes_NC is not None
    corrected_N = asked.votes_NC.argmax(axis=1)
    assert asked.second_votes_NC == pytest.approx(voted(z_ND, corrected_N, group_N), abs=1e-6)


def test_without_embeddings_nobody_is_asked() -> None:
    evidence = Evidence(label_N=np.zeros(3, dtype=np.int64), num_classes=2)
    assert with_votes(evidence, num_neighbours=K, device=CPU) is evidence


def test_an_opinion_rules_out_no_class_and_sums_to_one() -> None:
    votes_NC = np.asarray([[1, 0, 0, 0], [0.5, 0.5, 0, 0]], dtype=np.float32)
    p_NC = np.exp(opinion_of_votes(votes_NC))
    assert p_NC.sum(axis=1) == pytest.approx(1)
    assert p_NC[0, 1] == pytest.approx(SPREAD / 4 / (1 + SPREAD))
    assert (p_NC.argmax(axis=1) == [0, 0]).all()
