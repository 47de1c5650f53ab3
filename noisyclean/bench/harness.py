"""Timing the sides of a comparison by turns, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Contest", "Timing", "interleave", "share_reached"]

Call = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """How long one side took."""

    seconds: tuple[float, ...]
    """Of each repeat, in order."""

    @property
    def median_s(self) -> float:
        """The figure that counts."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest less fastest repeat, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median_s


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One row of the table, ready to run: the same work done by us and by a peer."""

    ours: Call
    peer: Call
    ours_alike: Call | None = None
    """Ours doing all of the peer's work, where :attr:`ours` comes to as good an end with less."""
    amount: float
    """Units of work in one call of ours."""
    peer_amount: float | None = None
    """Units of work in one call of the peer; None where it is the same."""
    unit: str = "images/s"
    bound: str = ""
    """What limits ours: ``convolution``, ``product``, ``memory`` or ``decoder``; empty where nothing was counted."""
    work: float = 0.0
    """Of one call of ours: floating-point operations, bytes moved, or images decoded, as the bound has it."""
    peak: Callable[[], float] | None = None
    """Measures the most work a second that the bound allows, where the row knows it best; called after each repeat."""
    check: Callable[[], str] | None = None
    """Compares the results of both sides and says how near they are."""
    repeats: int | None = None
    """Where it differs from the others': 1 for a row that is a whole job."""
    is_warmed_up: bool = True
    """Whether each side runs once before it is timed."""


def interleave(*sides: Call, repeats: int, warm_up: bool = True) -> tuple[Timing, ...]:
    """Time some sides by turns.

    Args:
        sides: Each done when it returns.
        repeats: Of each side, at least 1.
        warm_up: Run each side once before.
    """
    seconds: tuple[list[float], ...] = tuple([] for _ in sides)
    if warm_up:
        for side in sides:
            side()
    for _ in range(repeats):
        for kept, side in zip(seconds, sides, strict=True):
            start = time.perf_counter()
            side()
            kept.append(time.perf_counter() - start)
    return tuple(Timing(tuple(kept)) for kept in seconds)


def share_reached(work: float, timing: Timing, peaks: Sequence[float]) -> float:
    """Median share of the limit that a side reaches.

    Args:
        work: Done in each repeat.
        timing: Of that side.
        peaks: The most work a second, measured by turns with it; what was measured while warming up comes first and
            is left out.
    """
    measured = peaks[-len(timing.seconds) :]
    return statistics.median(work / seconds / peak for seconds, peak in zip(timing.seconds, measured, strict=True))
