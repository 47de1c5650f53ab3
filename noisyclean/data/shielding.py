"""Cells that a spreadsheet would run get an apostrophe, and lose it when they come back."""

from __future__ import annotations

__all__ = ["neutralise", "restore"]

RISKY_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs cells that begin so."""
SHIELD = "'"


def neutralise(cell: object) -> object:
    """Put an apostrophe before text that a spreadsheet would run; numbers such as -1 stay as they are."""
    if not isinstance(cell, str) or not cell.startswith((*RISKY_STARTS, SHIELD)):
        return cell
    return cell if _is_number(cell) else SHIELD + cell


def restore(cell: str) -> str:
    """Undo :func:`neutralise`."""
    return cell[1:] if cell.startswith(SHIELD) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
