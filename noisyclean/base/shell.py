"""Words as this system's shell takes them: what we print can be pasted."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable

__all__ = ["shell_line"]


def shell_line(words: Iterable[object], *, windows: bool = os.name == "nt") -> str:
    """One command line; words with spaces are quoted as POSIX shells or as Windows does it."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if windows else shlex.join(texts)
