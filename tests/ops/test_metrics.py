from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.ops.metrics import detection_metrics, expected_calibration_error
from tests.oracle import loops


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=30, unique_by=lambda pair: pair[0]))
def test_metrics_equal_the_loops(pairs: list[tuple[float, bool]]) -> None:
    score, wrong = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    got = detection_metrics(np.asarray(score), np.asarray(wrong))
    if len(set(wrong)) < 2:
        assert set(got.values()) == {None}
        return
    assert got["auroc"] == pytest.approx(loops.auroc(score, wrong))
    assert got["average_precision"] == pytest.approx(loops.average_precision(score, wrong))
    k = sum(wrong)
    top = sorted(range(len(score)), key=lambda i: -score[i])[:k]
    assert got["precision_at_k"] == pytest.approx(sum(wrong[i] for i in top) / k)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_calibration_error_equals_the_loop(pairs: list[tuple[float, bool]]) -> None:
    p, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    got = expected_calibration_error(np.asarray(p), np.asarray(true))
    assert got == pytest.approx(loops.expected_calibration_error(p, true, 15), abs=1e-9)


def test_a_perfectly_calibrated_probability_has_no_error() -> None:
    p = np.repeat([0.25, 0.75], 400)
    true = np.tile([True, False, False, False], 100)
    assert expected_calibration_error(p, np.concatenate([true, ~true])) == pytest.approx(0)
