"""Timing, and the arithmetic of a table."""

from __future__ import annotations

import pytest
import torch

from noisyclean.base.runtime import Runtime
from noisyclean.bench.harness import Timing, interleave, share_reached
from noisyclean.bench.limits import Limits, count_flops
from noisyclean.bench.table import compare_rows


def test_sides_take_turns_after_one_warm_up_each() -> None:
    called: list[str] = []
    ours, peer = interleave(lambda: called.append("ours"), lambda: called.append("peer"), repeats=3)
    assert called == ["ours", "peer"] * 4
    assert len(ours.seconds) == len(peer.seconds) == 3


def test_a_whole_job_is_not_warmed_up() -> None:
    called: list[str] = []
    interleave(lambda: called.append("ours"), lambda: called.append("peer"), repeats=1, warm_up=False)
    assert called == ["ours", "peer"]


def test_the_median_counts_and_the_spread_is_a_share_of_it() -> None:
    timing = Timing((1.0, 9.0, 2.0))
    assert (timing.median_s, timing.spread) == (2.0, 4.0)


def test_flops_are_counted_forward_and_backward() -> None:
    a, b = torch.ones(4, 5, requires_grad=True), torch.ones(5, 6)
    assert count_flops(lambda: a @ b) == 2 * 4 * 5 * 6
    assert count_flops(lambda: (a @ b).sum().backward()) == 2 * (2 * 4 * 5 * 6)


def test_only_known_bounds_have_a_peak() -> None:
    limits = Limits(Runtime(device=torch.device("cpu"), dtype=torch.float32, threads=1, reasons={}))
    assert limits.meter("decoder") is None
    assert limits.meter("") is None
    measure = limits.meter("memory")
    assert measure is not None
    assert measure() > 0


def test_each_repeat_is_judged_by_the_peak_measured_beside_it() -> None:
    slow_then_fast = Timing((4.0, 1.0, 2.0))
    warming_up, *beside = 1e9, 2.0, 8.0, 5.0
    assert share_reached(8.0, slow_then_fast, [warming_up, *beside]) == 1.0
    assert share_reached(8.0, slow_then_fast, beside) == 1.0


def test_an_earlier_table_says_how_each_row_changed() -> None:
    now = {
        "machine": {},
        "rows": [{"name": "a", "ours": 6.0, "ratio": 3.0}, {"name": "b", "ours": None, "ratio": None}],
    }
    before = {
        "machine": {},
        "rows": [{"name": "a", "ours": 2.0, "ratio": 1.5}, {"name": "b", "ours": 1.0, "ratio": 1.0}],
    }
    changes = [row["against"] for row in compare_rows(now, before)["rows"]]
    assert changes == [
        {"ours": pytest.approx(3.0), "ratio": pytest.approx(2.0)},
        {"ours": None, "ratio": None},
    ]
