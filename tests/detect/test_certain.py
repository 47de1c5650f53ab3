"""What is certain goes before what is probable."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from noisyclean.detect.certain import OFF_TOPIC, settle_blanks, settle_conflicts, settle_transitions, settle_verified
from noisyclean.detect.fuse import fuse
from noisyclean.types import Evidence, SampleStats

LABEL = np.asarray([0, 1] * 30, dtype=np.int64)


def judged() -> SampleStats:
    logits = np.where(np.arange(2) == LABEL[:, None], 3.0, 0.0) + np.random.default_rng(0).normal(0, 0.5, (60, 2))
    evidence = Evidence(label_N=LABEL, num_classes=2, log_p_NC=log_softmax(logits, axis=1))
    return fuse(evidence, {}, classes=("ant", "bee"))


def test_a_picture_that_shows_nothing_is_off_topic() -> None:
    contrast = np.linspace(30, 60, 60)
    contrast[[7, 20]] = 0.0, 2.5
    settled = settle_blanks(judged(), contrast)
    assert np.flatnonzero(settled.issue_N == OFF_TOPIC).tolist() == [7]
    assert settled.flagged_N[7]
    assert settled.p_mislabeled_N[7] == 1
    assert "0.0% of the median" in settled.reason_N[7]
    before = judged()
    others = np.arange(60) != 7
    np.testing.assert_array_equal(settled.p_mislabeled_N[others], before.p_mislabeled_N[others])


def test_pictures_that_are_all_alike_are_not_blank() -> None:
    assert not (settle_blanks(judged(), np.zeros(60)).issue_N == OFF_TOPIC).any()


def test_a_reviewer_knows_better() -> None:
    contrast = np.full(60, 40.0)
    contrast[7] = 0
    settled = settle_verified(settle_blanks(judged(), contrast), LABEL, np.arange(60) == 7)
    assert not settled.flagged_N[7]
    assert settled.issue_N[7] == ""
    assert settled.suggestion_N[7] == LABEL[7]


def test_suggestions_are_never_more_probable_than_errors() -> None:
    stats, rows = judged(), np.arange(60)
    nobody, rival = np.zeros(60, dtype=bool), np.where(rows < 20, 1 - LABEL, -1)
    stats = settle_conflicts(stats, LABEL, rival_N=rival, is_settled_N=nobody, reason_N=stats.reason_N)
    settled = settle_verified(settle_blanks(stats, np.where(rows == 30, 0.0, 40.0)), LABEL, rows >= 40)
    assert (settled.p_suggested_N <= settled.p_mislabeled_N).all()


def test_verified_labels_are_right_in_the_transitions_too() -> None:
    before = judged()
    settled = settle_verified(settle_blanks(before, np.where(np.arange(60) == 1, 0.0, 40.0)), LABEL, LABEL == 0)
    settled = settle_transitions(settled, LABEL)
    assert before.noise.transition_CC[0, 1] > 0.001
    np.testing.assert_allclose(settled.noise.transition_CC[0], [1, 0], atol=1e-9)
    right = before.p_mislabeled_N[(LABEL == 1) & (np.arange(60) != 1)].mean()
    np.testing.assert_allclose(settled.noise.transition_CC[1], [right, 1 - right], atol=1e-9)
