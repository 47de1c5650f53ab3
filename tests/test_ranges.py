"""Settings say what they may be where they are declared, and nothing else is accepted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import pytest

from noisyclean import config
from noisyclean.config import BudgetConfig, HoldoutConfig, Plan, PrepareConfig, ProbeConfig, SimCLRConfig, overlay
from noisyclean.errors import UsageError
from noisyclean.pipeline.training_plan import TrainPlan
from noisyclean.ranges import Range, check_ranges, names_without_range
from noisyclean.robust.method import methods
from noisyclean.robust.toy import small_settings

PLAN = Plan(
    preset="quick",
    seed=0,
    device="cpu",
    dtype="float32",
    threads=1,
    backbone="noisyclean_compact",
    augment="none",
    prepare=PrepareConfig(size_px=16),
    simclr=SimCLRConfig(),
    probe=ProbeConfig(),
)
CONFIGS = [getattr(config, name) for name in config.__all__ if name.endswith("Config")]


def train_plan(method: str) -> TrainPlan:
    settings = small_settings(methods.get(method))
    budget, holdout = BudgetConfig(passes=3), HoldoutConfig()
    return TrainPlan(base=PLAN, method=method, init="scratch", budget=budget, holdout=holdout, robust=settings)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (Range(at_least=0, below=1), (0, 0.5), (-0.1, 1, float("nan")), "at least 0 and below 1"),
        (Range(above=0, at_most=1), (1e-9, 1), (0, 1.1), "above 0 and at most 1"),
        (Range(), (-1e9, 0), (), ""),
    ],
)
def test_a_range_holds_what_its_words_say(
    allowed: Range, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == words


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("probe.lr=-1", "probe.lr=-1.0: must be above 0"),
        ("probe.mixup_alpha=nan", "probe.mixup_alpha=nan: must be at least 0"),
        ("probe.mixup_alpha=inf", "probe.mixup_alpha=inf: must be finite"),
        ("simclr.lr=-1", "simclr.lr=-1.0: must be above 0"),
        ("report.thumbnail_px=0", "report.thumbnail_px=0: must be at least 1"),
        ("prepare.size_px=4", "--size 4 (prepare.size_px): must be at least 8 and at most 1024"),
        ("prepare.max_bad=1.5", "--max-bad 1.5 (prepare.max_bad): must be at least 0 and at most 1"),
    ],
)
def test_a_stage_takes_nothing_out_of_range(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        overlay(PLAN, config.read_overrides(None, [setting]))
    assert raised.value.message.startswith(message)


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("dividemix", "robust.cap_quantile=1.5", "must be above 0 and at most 1"),
        ("dividemix", "robust.lr=0", "must be above 0"),
        ("dividemix", "robust.drop_epochs=[2,-1]", "must be at least 0"),
        ("elr-plus", "robust.strength=-3", "must be at least 0"),
        ("moit", "robust.projection_dim=0", "must be at least 1"),
        ("moit", "robust.guess_epochs=99", "must be at most robust.epochs=4"),
        ("moit-plus", "robust.plus_lr=-1", "must be above 0"),
        ("cross-entropy", "budget.passes=2", "must be at least 3"),
        ("cross-entropy", "holdout.share=1", "must be at least 0 and below 1"),
    ],
)
def test_a_training_takes_nothing_out_of_range(method: str, setting: str, message: str) -> None:
    name = setting.partition("=")[0]
    with pytest.raises(UsageError, match=message) as raised:
        overlay(train_plan(method), config.read_overrides(None, [setting]))
    assert raised.value.message.startswith(name)


@dataclass(frozen=True, kw_only=True)
class Base:
    rate: Annotated[float, Range(above=0)] = 1.0


@dataclass(frozen=True, kw_only=True)
class Heir(Base):
    rate: float = 2.0
    free: int = 0


def test_who_inherits_a_setting_inherits_its_range() -> None:
    check_ranges("mine", Heir())
    with pytest.raises(UsageError, match=r"mine\.rate=-1: must be above 0"):
        check_ranges("mine", Heir(rate=-1))
    assert names_without_range(Heir) == ["free"]


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_number_of_a_stage_says_what_it_may_be(kind: type) -> None:
    assert dataclasses.is_dataclass(kind)
    assert not names_without_range(kind)
