"""How long DivideMix warms up at a budget, and how its rate goes."""

from __future__ import annotations

import pytest

from noisyclean.robust.dividemix_settings import MOST_WARMUP_EPOCHS, DivideMixSettings, plan_dividemix
from noisyclean.robust.method import Facts


@pytest.mark.parametrize(("epochs", "wanted"), [(1, 0), (2, 1), (10, 6), (37, 24), (400, MOST_WARMUP_EPOCHS)])
def test_the_warm_up_is_a_share_but_never_long(epochs: int, wanted: int) -> None:
    assert DivideMixSettings(epochs=epochs).num_warmup_epochs == wanted


def test_an_asked_warm_up_is_taken() -> None:
    assert DivideMixSettings(epochs=400, warmup_epochs=300).num_warmup_epochs == 300


def test_the_rate_has_a_cycle_before_the_division_and_one_after_it() -> None:
    settings = DivideMixSettings(epochs=20, warmup_epochs=10, lr=1.0, restarts=True)
    cycles = [settings.rate(epoch, 0.5) for epoch in range(20)]
    assert cycles[:10] == pytest.approx(cycles[10:])
    assert max(cycles[:10]) > 0.9
    assert cycles[9] < 0.05
    once = DivideMixSettings(epochs=20, warmup_epochs=10, lr=1.0)
    assert once.rate(10, 0.0) < once.rate(6, 0.0)


def test_published_drops_are_kept() -> None:
    settings = DivideMixSettings(epochs=20, warmup_epochs=10, lr=1.0, drop_epochs=(15,), restarts=True)
    assert [settings.rate(epoch, 0.0) for epoch in (0, 10, 15)] == pytest.approx([1, 1, 0.1])


def test_only_the_published_schedule_divides_by_losses() -> None:
    facts = Facts(num_classes=10, passes=120, batch=128, is_pretrained=False)
    assert {name: plan_dividemix(name, facts)[0].divide_by for name in ("quick", "standard", "paper")} == {
        "quick": "judgement",
        "standard": "judgement",
        "paper": "losses",
    }
