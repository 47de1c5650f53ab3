"""Files that are either whole or not there: atomic writes, hashes, and a lock that dies with its owner."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from noisyclean.base.shortage import shortages_told
from noisyclean.errors import DataError, EnvironmentProblem, UsageError

__all__ = [
    "atomic_path",
    "exclusive_lock",
    "fingerprint",
    "made_here",
    "read_json",
    "refuse_place",
    "sha256_file",
    "write_json",
    "write_npz",
    "write_text",
]

LOCKED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})
"""What a system answers where another process holds a lock."""
ASKED_BYTES = 2**20
"""What a disk is asked to take where a library's own words do not say whether it is full."""


def refuse_place(path: Path, option: str = "--out", *, is_folder: bool = False) -> None:
    """Refuse a place where nothing can be written, before any work.

    Args:
        path: Where a file, or a folder, is to be.
        option: What the place was given to.
        is_folder: Which of them.

    Raises:
        UsageError: The other one is there, or a part of the path is a file.
    """
    wanted = "a folder" if is_folder else "a file"
    if path.exists() and path.is_dir() != is_folder:
        there = "a file" if is_folder else "a folder"
        raise UsageError(f"{option} {path}: is {there}", hint=f"Name {wanted}, there already or new.")
    blocking = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
    if blocking is not None:
        raise UsageError(f"{option} {path}: {blocking} is a file", hint=f"Name {wanted} in a folder.")


@contextmanager
def made_here(named: str) -> Iterator[None]:
    """Say what the place is where the system makes no folder, as under ``/proc``.

    Args:
        named: The place, as the user knows it.

    Raises:
        EnvironmentProblem: The folder cannot be made.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise EnvironmentProblem(f"{named}: cannot be made here", hint="Name a place on a disk.") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it over ``path``.

    The file is private to the user. A full disk leaves the old file as it was.

    Raises:
        EnvironmentProblem: The disk is full, or the folder cannot be made or written.
    """
    with made_here(str(path.parent)), shortages_told(f"{path} was not written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        with shortages_told(f"{path} was not written"):
            try:
                yield temporary
            except Exception as error:
                if not isinstance(error, OSError):
                    _ask_disk(temporary)
                raise
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _ask_disk(path: Path) -> None:
    """Write a little more, because torch and safetensors hide why they could not.

    Raises:
        OSError: The disk is the reason.
    """
    with path.open("ab") as file:
        file.write(bytes(ASKED_BYTES))
        os.fsync(file.fileno())


def write_text(path: Path, text: str, *, encoding: str = "utf-8") -> None:
    """Write ``text`` atomically, newlines as they are."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding=encoding, newline="")


def write_json(path: Path, value: object) -> None:
    """Write ``value`` atomically as indented JSON, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file written by :func:`write_json`.

    Raises:
        DataError: It is no JSON, so it was damaged or changed since.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path}: is no JSON ({error})", hint="Delete it, and the command that made it writes it anew."
        ) from error


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write named arrays atomically, readable without pickle; returns the path.

    Raises:
        ValueError: An array is of objects, which only pickle could hold.
    """
    named: dict[str, Any] = dict(arrays)
    of_objects = [name for name, array in named.items() if array.dtype.hasobject]
    if of_objects:  # NumPy 1.26 cannot be told to refuse them
        raise ValueError(f"{path}: {of_objects[0]} is of objects and would need pickle")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **named)
    return path


def fingerprint(value: object) -> str:
    """Short stable hash of a JSON-like value; equal values give equal hashes on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold a lock file for as long as the block runs; the operating system drops it if the process dies.

    Raises:
        EnvironmentProblem: Another process holds it, or the folder cannot be made or written.
    """
    with made_here(str(path.parent)), shortages_told(f"{path.parent} cannot be written to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    with file:
        if not _try_lock(file):
            raise EnvironmentProblem(
                f"another noisyclean process is writing to {path.parent}",
                hint="Wait for it to end, or give this one another folder.",
            )
        yield


def _try_lock(file: IO[bytes]) -> bool:
    """Whether the lock is ours now.

    Raises:
        EnvironmentProblem: The disk knows no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in LOCKED:
            raise EnvironmentProblem(
                f"{file.name}: cannot be locked ({error.strerror})",
                hint="Network disks without locks cannot hold a run: give a folder on another disk.",
            ) from error
        return False
    return True
