from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from noisyclean.data.blocks import in_blocks


@pytest.mark.parametrize("num", [0, 1, 4, 5, 9, 1000])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_row_is_worked_on_once(num: int, threads: int) -> None:
    blocks = list(in_blocks(list, range(num), threads))
    assert sorted(row for block in blocks for row in block) == list(range(num))


def test_files_that_take_their_time_get_threads() -> None:
    at_work: set[int] = set()

    def work(rows: Sequence[int]) -> None:
        at_work.add(threading.get_ident())
        time.sleep(1e-3 * len(rows))

    list(in_blocks(work, range(1000), 3))
    assert len(at_work) == 1 + 3  # The one that asks, and three.


def test_what_has_not_begun_when_it_is_closed_is_left_out() -> None:
    begun: list[int] = []
    blocks = in_blocks(begun.extend, range(1000), 1)
    next(blocks)
    blocks.close()
    assert len(begun) < 1000
