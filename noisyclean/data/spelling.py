"""One file, several spellings: another system's separators, another machine's prefix, é in one or two characters."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from noisyclean.errors import UsageError

__all__ = ["NameIndex", "as_meant", "best_prefix", "is_case_insensitive", "shown", "strip_prefix", "with_slashes"]

SAMPLE = 2_000
"""Paths looked at to see which prefix to take off."""


class NameIndex:
    """Finds files whose names differ from the given ones in Unicode composition or in case only.

    Folders are listed when first needed; a name that two files could mean is not found.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, list[str]]] = {}

    def find(self, base: str, path: str) -> str | None:
        """The file below ``base`` that ``path`` means, or None; ``path`` has slashes and no dots."""
        place = base
        for part in path.split("/"):
            known = self._names(place)
            candidates = [name for name in known.get(_folded(part), []) if _composed(name) == _composed(part)]
            candidates = candidates or known.get(_folded(part), [])
            exact = [name for name in candidates if name == part]
            if len(exact or candidates) != 1:
                return None
            place = os.path.join(place, (exact or candidates)[0])
        return place

    def _names(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._folders:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    names.setdefault(_folded(name), []).append(name)
            except OSError:
                names = {}
            self._folders[folder] = names
        return self._folders[folder]


def shown(path: str) -> str:
    """A path in quotes for a message; unlike ``repr`` it does not double the separators of Windows."""
    return repr(path).replace("\\\\", "\\")


def with_slashes(path: str) -> str:
    """The path as this system would write it if it came from Windows."""
    return path.replace("\\", "/")


def as_meant(path: str) -> str:
    """The path as :class:`NameIndex` takes it on every system: no spaces around it, slashes between names, no dots."""
    return posixpath.normpath(with_slashes(path.strip()))


def strip_prefix(paths: Sequence[str], prefix: str) -> list[str]:
    """The paths without a leading text; either kind of slash matches the other, and case does not matter.

    Raises:
        UsageError: No path begins so.
    """
    wanted = _comparable(prefix)
    length = len(prefix)
    stripped = [path[length:].lstrip("\\/") if _comparable(path[:length]) == wanted else path for path in paths]
    if paths and stripped == list(paths):
        raise UsageError(f"--strip-prefix {prefix}: no path begins so", hint=f"The first path is {shown(paths[0])}.")
    return stripped


def best_prefix(paths: Sequence[str], is_file: Callable[[str], bool]) -> tuple[str, int] | None:
    """The leading text without which most paths are files, and how many those are; None if none helps.

    Args:
        paths: Paths as given.
        is_file: Whether a path is a file of ours.
    """
    votes: Counter[str] = Counter()
    for path in paths[:: max(1, len(paths) // SAMPLE)]:
        parts = with_slashes(path).split("/")
        cuts = (len("/".join(parts[:cut])) + 1 for cut in range(1, len(parts)))
        cut = next((cut for cut in cuts if is_file(path[cut:])), None)
        if cut is not None:
            votes[path[:cut]] += 1
    if not votes:
        return None
    prefix = votes.most_common(1)[0][0]
    return prefix, sum(path.startswith(prefix) and is_file(path[len(prefix) :]) for path in paths)


def is_case_insensitive(folder: str) -> bool:
    """Whether the file system of ``folder`` takes "A" and "a" for one name, as Windows and macOS do."""
    if os.path.normcase("A") == "a":
        return True
    parent, name = os.path.split(os.path.realpath(folder))
    swapped = os.path.join(parent, name.swapcase())
    return name != name.swapcase() and os.path.exists(swapped) and os.path.samefile(folder, swapped)


def _comparable(text: str) -> str:
    return with_slashes(text).casefold()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(name).casefold()
