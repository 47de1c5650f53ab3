"""Agreement beyond chance, and what three judges say of each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from noisyclean.ops.agreement import kappa, triangulate
from noisyclean.types import IntArray


def judge(true_N: IntArray, wrong: float, num_classes: int, draw: np.random.Generator) -> IntArray:
    """Judgements of which some share are any other class."""
    errs_N = draw.random(len(true_N)) < wrong
    other_N: IntArray = (true_N + draw.integers(1, num_classes, len(true_N))) % num_classes
    return np.where(errs_N, other_N, true_N)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_kappa_is_that_of_scikit_learn(num_classes: int) -> None:
    draw = np.random.default_rng(num_classes)
    first = draw.integers(0, num_classes, 500)
    second = judge(first, 0.3, num_classes, draw)
    assert kappa(first, second, num_classes)[0] == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_of_two_opinions() -> None:
    one = np.asarray([0, 0, 1, 1])
    assert kappa(one, one, 2)[0] == 1
    assert kappa(one, np.asarray([0, 1, 0, 1]), 2)[0] == 0
    assert kappa(one, 1 - one, 2)[0] == -1
    assert kappa(np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64), 2)[0] == 0


def test_judges_who_know_one_answer_agree_by_chance() -> None:
    same = np.zeros(9, dtype=np.int64)
    assert kappa(same, same, 3) == (0.0, np.inf)
    assert triangulate(same, (same, same), 3) == (1.0, np.inf)


@pytest.mark.parametrize("num_classes", [2, 5, 20])
@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.35])
def test_the_share_of_wrong_labels_comes_out(wrong: float, num_classes: int) -> None:
    draw = np.random.default_rng(0)
    true = draw.integers(0, num_classes, 20_000)
    label, first, second = (judge(true, share, num_classes, draw) for share in (wrong, 0.15, 0.3))
    found, error = triangulate(label, (first, second), num_classes)
    assert abs(found - np.mean(label != true)) < 3.5 * error
    assert error < 0.03


def test_the_error_is_that_of_repeated_draws() -> None:
    draw = np.random.default_rng(1)
    found, errors = [], []
    for _ in range(200):
        true = draw.integers(0, 5, 500)
        label, first, second = (judge(true, share, 5, draw) for share in (0.3, 0.2, 0.4))
        share, error = triangulate(label, (first, second), 5)
        found.append(share)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.25)


def test_nothing_is_known_where_a_peer_guesses() -> None:
    draw = np.random.default_rng(3)
    true = draw.integers(0, 4, 400)
    assert triangulate(true, (true, draw.integers(0, 4, 400)), 4) == (1.0, np.inf)


def test_a_peer_asked_on_some_samples_is_judged_on_those() -> None:
    draw = np.random.default_rng(4)
    true = draw.integers(0, 5, 20_000)
    label, honest, second = (judge(true, share, 5, draw) for share in (0.3, 0.2, 0.4))
    asked = draw.random(20_000) < 0.2
    memorised = np.where(asked, honest, label)
    found, error = triangulate(label, (memorised, second), 5, asked_N=asked)
    assert abs(found - np.mean(label != true)) < 3.5 * error
    on_asked_alone = triangulate(label[asked], (honest[asked], second[asked]), 5)
    assert error < on_asked_alone[1]
    assert triangulate(label, (memorised, second), 5)[0] < 0.2
