"""The battery every registered method meets; a new file is tested the moment it exists."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisyclean.config import PRESETS
from noisyclean.errors import UsageError
from noisyclean.robust.method import Facts, methods
from tests.robust.toy import Killed, KilledAt, make_data, make_method, run, same_weights

every_method = pytest.mark.parametrize("name", methods.names())

VARIANTS: dict[str, dict[str, Any]] = {
    "dividemix": {
        "num_nets": 2,
        "learn": "mixmatch",
        "guess": "step",
        "num_views": 2,
        "lambda_u": 25.0,
        "confidence_penalty": "asymmetric",
        "neighbour_share": 0.5,
    },
    "elr-plus": {"has_strong_views": True, "num_nets": 2, "predicts_with_average": False, "refines_labels": True},
    "moit": {"ssl": "code", "guess": "step", "ema_decay": 0.0},
    "moit-plus": {"plus_is_constant": True, "ema_decay": 0.0},
    "mixmatch-oracle": {
        "form": "same-size",
        "learn": "mixmatch",
        "steps": "labelled",
        "has_strong_views": True,
        "warmup_has_strong_views": True,
    },
    "cross-entropy": {"mixup_alpha": 0.0, "ema_decay": 0.0},
}
"""The other branches of each method."""


def both(name: str) -> list[dict[str, Any]]:
    return [{}, VARIANTS.get(name, {})]


@every_method
def test_is_described_and_plans_every_preset(name: str) -> None:
    kind = methods.get(name)
    assert kind.__doc__
    assert 0 <= kind.published_holdout < 1
    assert isinstance(kind.needs_truth, bool)
    for preset in PRESETS:
        for pretrained in (False, True):
            facts = Facts(num_images=500, num_classes=30, passes=90, batch=64, is_pretrained=pretrained)
            settings, reasons = kind.plan(preset, facts)
            assert type(settings) is kind.settings_type
            assert reasons
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(settings, "epochs", 1)  # noqa: B010


@every_method
@pytest.mark.parametrize("change", [{"lr": 0.0}, {"epochs": 0}, {"weight_decay": -1.0}, {"lr": float("nan")}])
def test_refuses_settings_out_of_range(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"robust.{next(iter(change))}"):
        make_method(name, make_data(), **change)


@every_method
def test_trains_and_leaves_evidence_of_every_image(name: str) -> None:
    data = make_data()
    for variant in both(name):
        method = make_method(name, data, **variant)
        history = run(method)
        assert len(history) == method.num_epochs
        assert all(np.isfinite(list(figures.values())).all() for figures in history)
        evidence = method.evidence()
        assert evidence.log_p_NC is not None
        assert np.allclose(np.exp(evidence.log_p_NC).sum(axis=1), 1, atol=1e-4)
        for field in dataclasses.fields(evidence):
            value = getattr(evidence, field.name)
            if isinstance(value, np.ndarray) and field.name != "net_E":
                assert np.isfinite(value).all()
                assert len(data.label_N) in value.shape
        assert method.predictor() in list(method.nets())


@every_method
def test_is_deterministic_and_another_seed_is_another_training(name: str) -> None:
    first, again, other = (make_method(name, make_data(), seed=seed) for seed in (0, 0, 1))
    assert run(first) == run(again)
    run(other)
    assert same_weights(first.predictor(), again.predictor())
    assert not same_weights(first.predictor(), other.predictor())


@every_method
def test_killed_anywhere_it_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    data = make_data()
    for number, variant in enumerate(both(name)):
        whole = make_method(name, data, **variant)
        history = run(whole)
        path = tmp_path / f"{number}.pt"
        for at in (1, 3, 2):
            with pytest.raises(Killed):
                run(KilledAt(make_method(name, data, **variant), at), path)
        last = make_method(name, data, **variant)
        assert run(last, path) == history
        for one, other in zip(whole.nets(), last.nets(), strict=True):
            assert same_weights(one, other)
        for key, value in vars(whole.evidence()).items():
            assert np.array_equal(value, getattr(last.evidence(), key)) or value is None


@every_method
def test_survives_a_class_with_one_image(name: str) -> None:
    data = make_data(30, label=[row % 2 for row in range(29)] + [2], num_held_out=0)
    for variant in both(name):
        method = make_method(name, data, **variant)
        run(method)
        loss_EN = method.evidence().loss_EN
        assert loss_EN is not None
        assert np.isfinite(loss_EN).all()


@every_method
def test_survives_a_clean_set_and_keeps_most_of_it(name: str) -> None:
    for variant in both(name):
        method = make_method(name, make_data(rate=0.0, num_held_out=0), **variant)
        history = run(method)
        assert history[-1].get("believed", 1.0) >= 0.3


@every_method
def test_never_trains_on_held_out_rows(name: str) -> None:
    data = make_data()
    changed = data.label_N.clone()
    changed[len(data.train_T) :] = (changed[len(data.train_T) :] + 1) % 3
    one, other = make_method(name, data), make_method(name, dataclasses.replace(data, label_N=changed))
    run(one)
    run(other)
    assert same_weights(one.predictor(), other.predictor())


@every_method
def test_verified_labels_are_never_doubted(name: str) -> None:
    data = make_data(rate=0.4)
    verified = dataclasses.replace(data, verified_N=torch.ones_like(data.verified_N))
    history = run(make_method(name, verified))
    doubts = name == "mixmatch-oracle"
    assert doubts or history[-1].get("believed", 1.0) == 1.0
