"""The most memory used since a moment: of this process, and of the accelerator where torch is at work on one."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["forget_peaks", "peak_device_memory_bytes", "peak_memory_bytes"]

PROCESS = Path("/proc/self")
FORGET_PEAK = "5"
"""See ``clear_refs`` in Linux's proc_pid_clear_refs(5)."""


def forget_peaks() -> None:
    """Begin anew, as far as the system allows; what it tells others of this process's peak begins anew with it."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text(FORGET_PEAK, encoding="ascii")
    cuda = _cuda()
    if cuda is not None:
        cuda.reset_peak_memory_stats()


def peak_memory_bytes() -> int:
    """Largest resident memory since :func:`forget_peaks`; since the start where the system does not forget.

    Linux forgets unless a container forbids it. 0 where the system does not tell.
    """
    with suppress(OSError):
        told = re.search(r"^VmHWM:\s*(\d+) kB$", (PROCESS / "status").read_text(encoding="ascii"), re.MULTILINE)
        if told is not None:
            return int(told[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_device_memory_bytes() -> int | None:
    """Most memory of torch's tensors on the accelerator since :func:`forget_peaks`; None where it works on none."""
    cuda = _cuda()
    return None if cuda is None else int(cuda.max_memory_allocated())


def _cuda() -> Any:
    """The CUDA module of torch where it has been used in this process; nothing is imported or started to find out."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
