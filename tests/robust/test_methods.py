"""The battery every registered method meets; a new file is tested the moment it exists."""

from __future__ import annotations

from typing import Any

import pytest

from noisyclean.base.contract import Contract
from noisyclean.errors import UsageError
from noisyclean.robust.contracts import METHOD_CONTRACTS, Candidate
from noisyclean.robust.dividemix_settings import DivideMixSettings
from noisyclean.robust.method import methods

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
    "label-refinery": {"mixup_alpha": 0.0, "refined_mixup_alpha": 1.0, "has_strong_views": True, "ema_decay": 0.0},
}
"""The other branches of each method."""


@pytest.mark.parametrize("contract", METHOD_CONTRACTS, ids=lambda contract: contract.promise)
@pytest.mark.parametrize("name", methods.names())
def test_keeps_the_contract(name: str, contract: Contract[Candidate]) -> None:
    for changes in ({}, VARIANTS[name]):
        contract.check(Candidate(methods.get(name), changes))


def test_a_warm_up_that_leaves_nothing_to_divide_is_refused() -> None:
    with pytest.raises(UsageError, match="none is left to divide") as raised:
        DivideMixSettings(epochs=4, warmup_epochs=4)
    assert "robust.warmup_epochs" in raised.value.hint
    assert DivideMixSettings(epochs=1).epochs == 1
