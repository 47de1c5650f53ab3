"""Advice for what cannot be recognised, no accusations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import log_softmax

from noisyclean.detect.fuse import fuse
from noisyclean.detect.recognition import AMBIGUOUS, settle_unrecognised
from noisyclean.types import NOT_RECOGNISABLE, Evidence, SampleStats

CLASSES = ("ant", "bee", "cat", "fog")


def judged(strength: float, *, meaningless: bool = False, merged: bool = False) -> tuple[Evidence, SampleStats]:
    """Opinions on 300 images of each class, and the verdict before it is asked what can be recognised.

    Args:
        strength: How well what an image shows is seen.
        meaningless: Images of the last class show any of the others.
        merged: Images of the first two classes show either.
    """
    draw = np.random.default_rng(0)
    true = np.repeat(np.arange(4), 300)
    wrong = draw.random(1200) < (0 if meaningless else 0.15)
    label = np.where(wrong, (true + draw.integers(1, 4, 1200)) % 4, true).astype(np.int64)
    shown = np.where((true == 3) & meaningless, draw.integers(0, 3, 1200), true)
    shown = np.where((true < 2) & merged, draw.integers(0, 2, 1200), shown)
    logits = draw.normal(0, 1, (1200, 4))
    logits[np.arange(1200), shown] += strength
    log_p = log_softmax(logits, axis=1)
    evidence = Evidence(label_N=label, num_classes=4, log_p_NC=log_p, outside_log_p_NC=log_p)
    accused = fuse(dataclasses.replace(evidence, outside_log_p_NC=None), {}, classes=CLASSES)
    return evidence, accused


def test_a_class_nobody_recognises_is_not_accused() -> None:
    evidence, stats = judged(4.0, meaningless=True)
    settled = settle_unrecognised(stats, evidence, CLASSES)
    fog = evidence.label_N == 3
    assert stats.flagged_N[fog].any()
    assert not settled.flagged_N[fog].any()
    assert (settled.issue_N[fog & stats.flagged_N] == NOT_RECOGNISABLE).all()
    assert any(note.startswith("fog: not recognisable") and "--size" in note for note in settled.notes)
    assert (settled.flagged_N[~fog] == stats.flagged_N[~fog]).all()


def test_classes_that_look_alike_are_ambiguous() -> None:
    evidence, _ = judged(4.0, merged=True)
    settled = fuse(evidence, {}, classes=CLASSES)
    pair = (evidence.label_N < 2) & (settled.suggestion_N < 2) & settled.flagged_N
    assert pair.any()
    assert (settled.issue_N[pair] == AMBIGUOUS).all()
    assert (settled.issue_N[settled.flagged_N & ~pair] == "mislabelled").all()
    assert any("ant and bee" in note for note in settled.notes)


def test_where_nothing_is_recognised_nobody_is_accused_and_the_rate_may_be_any() -> None:
    """A left-out classifier at chance; nets that have learnt their labels, and that were asked about others too."""
    evidence, _ = judged(4.0)
    draw = np.random.default_rng(1)
    blind = dataclasses.replace(evidence, outside_log_p_NC=log_softmax(draw.normal(size=(1200, 4)), axis=1))
    settled = fuse(blind, {}, classes=CLASSES)
    assert not settled.flagged_N.any()
    assert (settled.issue_N == NOT_RECOGNISABLE).any()
    assert (settled.noise.low, settled.noise.high) == (0.0, 1.0)
    assert any(note.startswith("no class is recognisable") for note in settled.notes)
    seen = dataclasses.replace(blind, held_out_N=np.arange(1200) % 10 == 0)
    assert fuse(seen, {}, classes=CLASSES).flagged_N.any()


@pytest.mark.parametrize("strength", [2.0, 4.0])
def test_nothing_changes_where_all_is_recognised(strength: float) -> None:
    evidence, stats = judged(strength)
    settled = fuse(evidence, {}, classes=CLASSES)
    assert (settled.issue_N == stats.issue_N).all()
    assert settled.notes == stats.notes
