"""The battery every registered signal meets; a new file is tested the moment it exists."""

from __future__ import annotations

import numpy as np
import pytest

from noisyclean.base.contract import Contract
from noisyclean.detect.contracts import SIGNAL_CONTRACTS
from noisyclean.detect.signal import Signal, signals, squash


@pytest.mark.parametrize("contract", SIGNAL_CONTRACTS, ids=lambda contract: contract.promise)
@pytest.mark.parametrize("name", signals.names())
def test_keeps_the_contract(name: str, contract: Contract[type[Signal]]) -> None:
    contract.check(signals.get(name))


def test_squash_is_strictly_monotone_far_out() -> None:
    raw = np.asarray([-1e6, -700, -40, -1, 0, 1, 40, 700, 1e6])
    assert (np.diff(squash(raw)) > 0).all()
    assert squash(np.zeros(1))[0] == 0.5
