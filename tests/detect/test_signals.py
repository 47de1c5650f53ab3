"""The battery every registered signal meets; a new file is tested the moment it exists."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from noisyclean.detect.signal import Signal, signals, squash
from noisyclean.ops.metrics import detection_metrics
from noisyclean.types import Evidence, SignalScore

CPU = torch.device("cpu")
NUM, NUM_CLASSES = 300, 3


def make_evidence(seed: int = 0, *, num: int = NUM, strength: float = 4.0) -> tuple[Evidence, np.ndarray]:
    """Evidence of a fair net on labels of which a fifth is wrong, and which those are."""
    generator = np.random.default_rng(seed)
    true_N = np.arange(num) % NUM_CLASSES
    wrong_N = generator.random(num) < 0.2
    label_N = np.where(wrong_N, (true_N + 1) % NUM_CLASSES, true_N)
    logits = generator.normal(0, 1, (2, num, NUM_CLASSES))
    logits[:, np.arange(num), true_N] += strength
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    given = log_p[:, np.arange(num), label_N]
    others = log_p.copy()
    others[:, np.arange(num), label_N] = -np.inf
    z = generator.normal(0, 0.5, (num, 8))
    z[np.arange(num), true_N] += 2
    evidence = Evidence(
        label_N=label_N.astype(np.int64),
        num_classes=NUM_CLASSES,
        z_ND=(z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32),
        log_p_NC=log_p.mean(axis=0),
        outside_log_p_NC=log_p[0],
        loss_EN=-given,
        margin_EN=given - others.max(axis=2),
        net_E=np.zeros(2, dtype=np.int64),
        disagreement_N=np.clip(generator.normal(0.2 + 0.5 * wrong_N, 0.1), 0, 0.99),
        division_N=-margin_of(log_p.mean(axis=0), label_N),
        target_NC=np.exp(log_p[0]),
        neighbour_disagreement_N=-given.mean(axis=0),
    )
    return evidence, wrong_N


def margin_of(log_p: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    """Log-probability of the label minus that of the best other class."""
    rows = np.arange(len(label_N))
    others = log_p.copy()
    others[rows, label_N] = -np.inf
    margin: np.ndarray = log_p[rows, label_N] - others.max(axis=1)
    return margin


every_signal = pytest.mark.parametrize("name", signals.names())


def score(name: str, evidence: Evidence) -> SignalScore:
    kind: Callable[[], Signal] = signals.get(name)
    return kind()(evidence, device=CPU)


@every_signal
def test_is_a_described_frozen_dataclass_that_names_its_needs(name: str) -> None:
    kind = signals.get(name)
    assert getattr(kind, "__dataclass_params__").frozen  # noqa: B009
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")
    fields = {field.name for field in dataclasses.fields(Evidence)}
    assert kind.needs
    assert kind.needs <= fields


@every_signal
def test_suspicion_is_in_the_unit_range_and_ordered_as_the_raw_score(name: str) -> None:
    evidence, _ = make_evidence()
    got = score(name, evidence)
    assert got.raw_N.shape == got.suspicion_N.shape == (NUM,)
    assert np.isfinite(got.raw_N).all()
    assert got.suspicion_N.min() >= 0
    assert got.suspicion_N.max() <= 1
    order = np.argsort(got.raw_N, kind="stable")
    raw, suspicion = got.raw_N[order], got.suspicion_N[order]
    rising = np.diff(raw) > 1e-9
    assert (np.diff(suspicion)[rising] > 0).all()
    assert np.allclose(np.diff(suspicion)[~rising], 0, atol=1e-8)


@every_signal
def test_finds_planted_errors(name: str) -> None:
    evidence, wrong = make_evidence()
    assert (detection_metrics(score(name, evidence).raw_N, wrong)["auroc"] or 0) > 0.9


@every_signal
def test_is_deterministic_and_leaves_the_evidence_alone(name: str) -> None:
    evidence, _ = make_evidence()
    before = {f.name: np.array(getattr(evidence, f.name)) for f in dataclasses.fields(evidence)}
    first, again = score(name, evidence), score(name, evidence)
    assert (first.raw_N == again.raw_N).all()
    for key, value in before.items():
        assert np.array_equal(np.array(getattr(evidence, key)), value)


@every_signal
def test_does_not_depend_on_the_order_of_samples(name: str) -> None:
    evidence, _ = make_evidence()
    order = np.random.default_rng(1).permutation(NUM)
    changes: dict[str, Any] = {
        "label_N": evidence.label_N[order],
        "z_ND": evidence.z_ND[order],  # type: ignore[index]
        "log_p_NC": evidence.log_p_NC[order],  # type: ignore[index]
        "outside_log_p_NC": evidence.outside_log_p_NC[order],  # type: ignore[index]
        "loss_EN": evidence.loss_EN[:, order],  # type: ignore[index]
        "margin_EN": evidence.margin_EN[:, order],  # type: ignore[index]
        "division_N": evidence.division_N[order],  # type: ignore[index]
        "target_NC": evidence.target_NC[order],  # type: ignore[index]
        "neighbour_disagreement_N": evidence.neighbour_disagreement_N[order],  # type: ignore[index]
        "disagreement_N": evidence.disagreement_N[order],  # type: ignore[index]
    }
    shuffled = dataclasses.replace(evidence, **changes)
    correlation = spearmanr(score(name, evidence).raw_N[order], score(name, shuffled).raw_N).statistic
    assert correlation > 0.999


@every_signal
def test_survives_evidence_that_says_nothing(name: str) -> None:
    evidence, _ = make_evidence()
    flat = dataclasses.replace(
        evidence,
        z_ND=np.full_like(evidence.z_ND, 8**-0.5),
        loss_EN=np.full_like(evidence.loss_EN, 1.0),
        margin_EN=np.zeros_like(evidence.margin_EN),
        disagreement_N=np.zeros(NUM),
    )
    got = score(name, flat)
    assert np.isfinite(got.suspicion_N).all()


@every_signal
def test_survives_a_class_with_one_image(name: str) -> None:
    evidence, _ = make_evidence()
    label = np.array(evidence.label_N)
    label[label == 2] = 0
    label[0] = 2
    assert np.isfinite(score(name, dataclasses.replace(evidence, label_N=label)).suspicion_N).all()


def test_squash_is_strictly_monotone_far_out() -> None:
    raw = np.asarray([-1e6, -700, -40, -1, 0, 1, 40, 700, 1e6])
    assert (np.diff(squash(raw)) > 0).all()
    assert squash(np.zeros(1))[0] == 0.5
