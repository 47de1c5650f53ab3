"""Lack of memory, of disk or of access: the machine's doing, told as that and not as a bug of ours.

Every library says it in its own way, torch by plain RuntimeErrors. They are known by their words, so that none has to
be imported for it.
"""

from __future__ import annotations

import errno
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from noisyclean.errors import EnvironmentProblem

__all__ = ["shortage", "shortages_told"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
"""In the errors of torch's allocators and of CUDA's libraries."""
SHOWN = 240
"""Characters of somebody else's message."""


@contextmanager
def shortages_told(what: str) -> Iterator[None]:
    """Turn what the block raises for lack of something into an error that says so.

    Args:
        what: What could not be done, or where; the message begins with it.

    Raises:
        EnvironmentProblem: Memory or disk are used up, or there is no access.
    """
    try:
        yield
    except Exception as error:
        problem = shortage(error)
        if problem is None:
            raise
        raise EnvironmentProblem(f"{what}: {problem.message}", hint=problem.hint) from error


def shortage(error: Exception) -> EnvironmentProblem | None:
    """What the machine lacked when this was raised; None where it was something else."""
    number = error.errno if isinstance(error, OSError) else None
    said = textwrap.shorten(str(error), SHOWN, placeholder=" …")
    if number == errno.ENOMEM or isinstance(error, MemoryError) or _speaks_of_memory(error):
        return EnvironmentProblem(
            f"out of memory: {said}" if said else "out of memory",
            hint="A smaller --size and smaller batches take less, where the command has them: "
            "--set simclr.batch=64, --set probe.batch=64, --set robust.batch=64.",
        )
    if number in FULL:
        return EnvironmentProblem(
            f"the disk is full: {said}",
            hint="Free some space, or put --out or --cache on another disk; the same command continues.",
        )
    if number in CLOSED:
        return EnvironmentProblem(
            f"no access: {said}", hint="Look at the rights, or name another place: --out, or --cache."
        )
    return None


def _speaks_of_memory(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)
