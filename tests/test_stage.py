"""What a stage notes of its own cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from noisyclean.base.log import Silent
from noisyclean.base.memory import INTERVAL_S, STATM
from noisyclean.base.runtime import keep_freed_memory
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import run_stage

MIB = 2**20


def costs_of(folder: Path, *works: Callable[[], object]) -> list[dict[str, float]]:
    """What stages that do this one after the other are said to have cost."""
    run = RunDir(folder)
    for index, work in enumerate(works):

        def outputs(_: Path, work: Callable[[], object] = work) -> Iterable[Path]:
            work()
            return []

        run_stage(run, str(index), outputs, settings={}, inputs={}, reporter=Silent())
    told = list(run.costs.values())
    again = RunDir(folder)
    for index in range(len(works)):
        run_stage(again, str(index), lambda _: [], settings={}, inputs={}, reporter=Silent())
    assert list(again.costs.values()) == told, "a stage that was done is not measured again"
    return told


def test_an_input_that_is_left_out_is_the_reason(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    reporter = Heard()
    for inputs in ({"labels": "1", "extra": "1"}, {"labels": "1"}, {"labels": "2"}):
        run_stage(run, "work", lambda _: [], settings={}, inputs=inputs, reporter=reporter)
    assert reporter.said == ["work: again, because extra is left out", "work: again, because labels changed"]


class Heard(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Remember it."""
        self.said.append(text)


def hold(num_bytes: int) -> None:
    """Until it was looked at."""
    held = np.ones(num_bytes, dtype=np.uint8)
    sleep()
    del held


def sleep() -> None:
    """Until memory was looked at."""
    time.sleep(4 * INTERVAL_S)


@pytest.mark.skipif(not STATM.exists(), reason="this system tells a process nothing but its highest peak")
def test_memory_is_that_of_the_stage_and_not_of_those_before(tmp_path: Path) -> None:
    works = [partial(hold, size * MIB) for size in (600, 1, 300)]
    large, small, middle = (cost["peak_memory_bytes"] for cost in costs_of(tmp_path, *works))
    assert small > 10 * MIB
    assert middle - small == pytest.approx(300 * MIB, abs=50 * MIB)
    assert large - small > 250 * MIB


def test_what_a_stage_freed_is_not_carried_into_the_next(tmp_path: Path) -> None:
    if not keep_freed_memory():
        pytest.skip("the C library does not keep what is freed")
    kept: list[object] = []

    def leave_gaps() -> None:
        freed = [np.ones(MIB, dtype=np.uint8) for _ in range(300)]
        kept.append(np.ones(MIB, dtype=np.uint8))  # lies above what is freed
        del freed

    before, _, after = (cost["peak_memory_bytes"] for cost in costs_of(tmp_path, sleep, leave_gaps, sleep))
    assert after - before < 50 * MIB


@pytest.mark.skipif(torch.cuda.is_available() and torch.cuda.is_initialized(), reason="an accelerator is at work")
def test_no_memory_of_a_device_that_is_not_used(tmp_path: Path) -> None:
    (cost,) = costs_of(tmp_path, lambda: None)
    assert set(cost) == {"seconds", "peak_memory_bytes"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: it has no memory to measure")
def test_memory_of_the_device_is_that_of_the_stage(tmp_path: Path) -> None:
    def take(num_bytes: int) -> Callable[[], object]:
        return lambda: torch.zeros(num_bytes, dtype=torch.uint8, device="cuda")

    large, small = costs_of(tmp_path, take(64 * MIB), take(MIB))
    assert large["peak_device_memory_bytes"] - small["peak_device_memory_bytes"] == 63 * MIB
