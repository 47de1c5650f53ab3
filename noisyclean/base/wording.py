"""Lists of names in a message: a few of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

__all__ = ["quoted", "shortened"]


def shortened(names: Collection[object], most: int = 12) -> str:
    """The first names in words, and how many more there are."""
    return _with_rest(", ".join(map(str, islice(names, most))), len(names) - most)


def quoted(names: Collection[object], most: int = 3) -> str:
    """The same with every name in quotation marks, for names out of a user's file, which may hold anything."""
    return _with_rest(", ".join(repr(str(name)) for name in islice(names, most)), len(names) - most)


def _with_rest(shown: str, more: int) -> str:
    return f"{shown} and {more:,} more" if more > 0 else shown
