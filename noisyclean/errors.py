"""Errors that teach: each says what is wrong, where, and what to do; the class gives the exit code.

NoisycleanError              1   our bug, unless a subclass says otherwise
+-- UsageError               2   the command's words are off
+-- DataError                3   the table, the images or the arrays are off
+-- EnvironmentProblem       4   memory, disk, rights, device, a second writer
+-- QualityGateFailed        5   the set is noisier than --fail-above allows
+-- Interrupted            130   stopped by the user, after a checkpoint
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = ["DataError", "EnvironmentProblem", "Interrupted", "NoisycleanError", "QualityGateFailed", "UsageError"]


class NoisycleanError(Exception):
    """Base of everything noisyclean raises on purpose.

    Args:
        message: What is wrong and where, in one sentence.
        hint: What to do about it; printed on a line of its own.
        options: Words that mend it when added to the same command.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", options: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.options = tuple(options)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(NoisycleanError):
    """An option, or a combination of options, that cannot work."""

    exit_code = 2


class DataError(NoisycleanError):
    """Input that cannot be used: a table, a folder, an image, an array."""

    exit_code = 3


class EnvironmentProblem(NoisycleanError):
    """The machine is short of something: memory, disk, a device, a free run directory."""

    exit_code = 4


class QualityGateFailed(NoisycleanError):
    """The measured rate of mislabelled images is above the one the caller allows."""

    exit_code = 5


class Interrupted(NoisycleanError):
    """Stopped by the user; the state is saved and the same command continues."""

    exit_code = 130
