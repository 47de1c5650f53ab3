"""A contract: one promise that everything of a kind keeps, checked by the tests and by ``noisyclean check`` alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Broken", "Contract", "expect"]

Thing = TypeVar("Thing")


class Broken(Exception):
    """A promise is not kept; the message says what was found instead."""


@dataclass(frozen=True)
class Contract(Generic[Thing]):
    """One promise."""

    promise: str
    """What is promised, in words that follow the thing's name."""
    lesson: str
    """Why it must be kept, and what to do where it is not."""
    check: Callable[[Thing], None]
    """Raises :class:`Broken`, or whatever the thing itself raises, where it is not kept."""

    def what_is_wrong(self, thing: Thing) -> str:
        """What was found where the promise is not kept; empty where it is."""
        try:
            self.check(thing)
        except Broken as broken:
            return str(broken)
        except Exception as error:
            return f"it raised {type(error).__name__}: {error}"
        return ""


def expect(condition: object, found: str) -> None:
    """Go on where the condition holds.

    Raises:
        Broken: It does not; ``found`` says what there is instead.
    """
    if not condition:
        raise Broken(found)
