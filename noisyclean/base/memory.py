"""The most memory used inside a block: of this process, and of the accelerator where torch is at work on one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["MEMORY", "watch_memory"]

MEMORY = ("peak_memory_bytes", "peak_device_memory_bytes")
"""Resident memory of the process, and what torch's tensors took on the accelerator."""
STATM = Path("/proc/self/statm")
INTERVAL_S = 0.05


@contextmanager
def watch_memory() -> Iterator[dict[str, int]]:
    """Fill the dictionary, once the block has ended, with the figures of :data:`MEMORY` that this system tells.

    A block that raises the process's own high-water mark is told by it. Else memory is looked at twenty times a
    second: the mark itself is left alone, because others read it. Without Linux it is the mark in any case.
    """
    figures: dict[str, int] = {}
    mark_before, ended = _high_water_bytes(), threading.Event()
    cuda = _cuda()
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    most = [_resident_bytes()]

    def look() -> None:
        while not ended.wait(INTERVAL_S):
            most.append(max(most.pop(), _resident_bytes()))

    watcher = threading.Thread(target=look, name="memory", daemon=True)
    watcher.start()
    try:
        yield figures
    finally:
        ended.set()
        watcher.join()
        mark = _high_water_bytes()
        is_told_by_mark = mark > mark_before or most[0] == 0
        figures[MEMORY[0]] = mark if is_told_by_mark else most[0]
        cuda = _cuda()
        if cuda is not None:
            figures[MEMORY[1]] = int(cuda.max_memory_allocated())


def _resident_bytes() -> int:
    """Resident now; 0 where the system does not tell."""
    with suppress(OSError):
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _high_water_bytes() -> int:
    """Largest resident memory since the process began; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cuda() -> Any:
    """The CUDA module of torch where it has been used in this process; nothing is imported or started to find out."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
