"""What a run says while it works: a small protocol, silent unless someone listens.

The terminal's listener lives in ``cli/render.py``; library calls are silent by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Meter", "Reporter", "Silent"]


class Meter(Protocol):
    """One running progress bar."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more units done; ``note`` is a short text such as the current loss."""


class Reporter(Protocol):
    """Where messages and progress go."""

    def say(self, text: str) -> None:
        """One line about what was chosen or done."""

    def warn(self, text: str) -> None:
        """One line the user should not miss."""

    def track(self, title: str, *, total: int, done: int = 0, unit: str = "") -> AbstractContextManager[Meter]:
        """A progress bar with throughput and time left, closed with the block."""


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        """Ignore the message."""

    def warn(self, text: str) -> None:
        """Ignore the warning."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Ignore the progress."""

    @contextmanager
    def track(self, title: str, *, total: int, done: int = 0, unit: str = "") -> Iterator[Meter]:  # noqa: ARG002
        """A bar nobody sees."""
        yield self
