"""Work on many files by as many threads as the files are worth, block by block."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

__all__ = ["in_blocks"]

Done = TypeVar("Done")

BLOCK_ROWS = 256
"""Most files a thread works on before it tells."""
BLOCKS_A_THREAD = 8
"""Least number of blocks for each thread, so that none waits long for the last one."""
FIRST_ROWS = 4
"""Worked on at a time, by one thread, until it is known how long a file takes; in the first ones codecs are loaded."""
ENOUGH_S = 10e-3
"""To know it by."""
WORTH_A_THREAD_S = 200e-6
"""Of the time a file takes: so long it holds the interpreter, about, and threads that wait for it hinder each other."""


def in_blocks(work: Callable[[Sequence[int]], Done], rows: Sequence[int], threads: int) -> Generator[Done]:
    """What ``work`` answers of each block of rows, in any order; closing it leaves out what has not begun.

    Args:
        work: Is given some neighbouring rows, each once.
        rows: All of them.
        threads: At most so many work at a time.
    """
    num_done = 0
    if threads > 1:
        taken_s = 0.0
        while num_done < len(rows) and taken_s < ENOUGH_S:
            start_s = time.perf_counter()
            done = work(rows[num_done : num_done + FIRST_ROWS])
            taken_s += (time.perf_counter() - start_s) * (num_done > 0)
            num_done += FIRST_ROWS
            yield done
        file_s = taken_s / max(1, num_done - FIRST_ROWS)
        threads = min(threads, max(1, round(file_s / WORTH_A_THREAD_S)))
    rows = rows[num_done:]
    step = max(1, min(BLOCK_ROWS, len(rows) // (BLOCKS_A_THREAD * threads)))
    with ThreadPoolExecutor(threads) as pool:
        blocks = [pool.submit(work, rows[start : start + step]) for start in range(0, len(rows), step)]
        try:
            for future in as_completed(blocks):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
