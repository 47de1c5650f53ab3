"""The left-out classifier: never in-sample, never through a group."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from noisyclean.detect import outside
from noisyclean.detect.outside import ask_outside
from noisyclean.types import IntArray

CLASSES = 4


def clusters(num: int = 400, *, seed: int = 0, spread: float = 1.0, dim: int = 20) -> tuple[Tensor, IntArray]:
    draw = np.random.default_rng(seed)
    true = draw.integers(0, CLASSES, num)
    centre = draw.normal(0, 1, (CLASSES, dim))
    z = centre[true] + draw.normal(0, spread, (num, dim))
    return torch.from_numpy(z).float(), true.astype(np.int64)


def test_recognises_what_is_recognisable_and_returns_probabilities() -> None:
    z, label = clusters()
    opinion = ask_outside(z, label, num_classes=CLASSES)
    assert opinion.accuracy > 0.9
    assert np.exp(opinion.log_p_NC).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_random_labels_are_not_recognised_however_many_features_there_are() -> None:
    z, _ = clusters(dim=350)
    label = np.random.default_rng(1).integers(0, CLASSES, len(z))
    assert ask_outside(z, label, num_classes=CLASSES).accuracy < 0.35


def test_a_label_has_no_part_in_the_opinion_on_its_own_sample() -> None:
    z, label = clusters(spread=3.0)
    changed = label.copy()
    changed[7] = (label[7] + 1) % CLASSES
    before, after = (ask_outside(z, labels, num_classes=CLASSES).log_p_NC[7] for labels in (label, changed))
    assert after == pytest.approx(before, abs=0.15)


def test_copies_in_one_group_do_not_vouch_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "BLOCK", 64)
    z, label = clusters(spread=2.0, dim=100)
    copies = 8
    z = torch.cat([z, z[:1].repeat(copies, 1)])
    wrong = (label[0] + 1) % CLASSES
    label = np.concatenate([label, np.full(copies, wrong)])
    label[0] = wrong
    group = np.concatenate([np.arange(len(label) - copies), np.zeros(copies, dtype=np.int64)])
    apart = ask_outside(z, label, num_classes=CLASSES).log_p_NC
    together = ask_outside(z, label, num_classes=CLASSES, group_N=group).log_p_NC
    assert together[0, wrong] < apart[0, wrong] - 1
    assert together[-1] == pytest.approx(together[0], abs=1e-3)


def test_groups_larger_than_a_block_are_asked_about_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "BLOCK", 30)
    z, label = clusters(200)
    group = np.arange(200) // 50
    rows = [rows for rows, _ in outside._parts(group, 200, z.device)]
    assert sorted(torch.cat(rows).tolist()) == list(range(200))
    assert all(len(np.unique(group[part])) == len(part) // 50 for part in rows)
    assert np.isfinite(ask_outside(z, label, num_classes=CLASSES, group_N=group).log_p_NC).all()


def test_the_linear_layer_gives_the_opinion_of_the_fit_on_all() -> None:
    z, label = clusters(spread=0.5)
    opinion = ask_outside(z, label, num_classes=CLASSES)
    logits = z.double() @ opinion.weight_CD.T + opinion.bias_C
    assert (logits.argmax(dim=1).numpy() == label).mean() > 0.95


def test_labels_that_are_not_to_be_seen_have_no_part_at_all() -> None:
    z, label = clusters(spread=2.0)
    unseen = np.arange(len(label)) % 5 == 0
    changed = np.where(unseen, (label + 1) % CLASSES, label)
    one, other = (ask_outside(z, labels, num_classes=CLASSES, unseen_N=unseen) for labels in (label, changed))
    assert (one.log_p_NC == other.log_p_NC).all()
    assert one.accuracy == other.accuracy

    alone = ask_outside(z[~unseen], label[~unseen], num_classes=CLASSES)
    assert one.log_p_NC[~unseen] == pytest.approx(alone.log_p_NC, abs=1e-5)
    logits = z[unseen].double() @ alone.weight_CD.T + alone.bias_C
    assert one.log_p_NC[unseen] == pytest.approx(logits.log_softmax(dim=1).numpy(), abs=1e-5)
    assert (one.log_p_NC[unseen].argmax(axis=1) == label[unseen]).mean() > 0.6
