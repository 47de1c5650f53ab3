"""The run directory: one writer, known inputs, and nothing overwritten that is not ours."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisyclean.base.files import exclusive_lock, read_json, sha256_file, write_json
from noisyclean.base.shortage import shortages_told
from noisyclean.errors import UsageError

__all__ = ["RunDir", "open_run", "read_run", "refuse_inside"]

IDENTITY = "run.json"
LOCK = ".lock"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunDir:
    """A directory that holds one run of one verb on one set of inputs."""

    root: Path
    costs: dict[str, dict[str, float]] = field(default_factory=dict, compare=False)
    """Seconds and peak memory of each stage that was asked for since it was opened, also of those that were done."""

    def stage_folder(self, name: str) -> Path:
        """Where a stage keeps its files."""
        return self.root / name

    def claim(self, verb: str, inputs: Mapping[str, str], *, describe: Mapping[str, Any]) -> None:
        """Say what this run is of; the first call writes it down, later ones must agree.

        Raises:
            UsageError: The directory holds a run of another verb or of other inputs.
        """
        path = self.root / IDENTITY
        if not path.exists():
            write_json(
                path,
                {"schema_version": SCHEMA_VERSION, "verb": verb, "inputs": dict(inputs), "describe": dict(describe)},
            )
            return
        known = read_json(path)
        changed = [name for name, value in inputs.items() if known["inputs"].get(name) != value]
        if known["verb"] != verb or changed:
            what = " and ".join(changed) if changed else f"the verb ({known['verb']})"
            raise UsageError(
                f"{self.root} holds a run of other inputs: {what} changed since",
                hint="Give a new --out, or --overwrite to replace what that run wrote.",
            )

    @property
    def verb(self) -> str:
        """What made it: ``audit`` or ``train``."""
        verb: str = read_json(self.root / IDENTITY)["verb"]
        return verb

    def description(self) -> dict[str, Any]:
        """What :meth:`claim` wrote down: where images and labels are, and how they are read."""
        described: dict[str, Any] = read_json(self.root / IDENTITY)["describe"]
        return described

    def write_keeping_edits(self, name: str, temporary: Path, ours: Collection[str | None]) -> Path:
        """Move a finished file to ``name``; if the one there was edited by hand, to ``stem.new.suffix`` beside it.

        Args:
            name: File name below the root.
            temporary: The finished file.
            ours: SHA-256 of what we wrote there before, if anything.
        """
        target = self.root / name
        if target.exists() and sha256_file(target) not in (*ours, sha256_file(temporary)):
            target = target.with_name(f"{target.stem}.new{target.suffix}")
        temporary.replace(target)
        return target


@contextmanager
def open_run(root: Path, *, overwrite: bool = False) -> Iterator[RunDir]:
    """Create or continue a run directory, holding its lock; a usage error before any stage leaves no new one.

    Args:
        root: The directory; new, empty, or a run.
        overwrite: Delete what an earlier run wrote there first, and nothing else.

    Raises:
        UsageError: It holds something else.
        EnvironmentProblem: Another process writes to it, or it cannot be written.
    """
    is_run = (root / IDENTITY).exists() or (root / LOCK).exists()
    if root.exists() and not root.is_dir():
        raise UsageError(f"--out {root}: is a file", hint="Give a directory.")
    if root.exists() and not is_run and any(root.iterdir()):
        raise UsageError(f"--out {root}: is not empty and holds no noisyclean run", hint="Give a new directory.")
    was_there, was_empty = root.exists(), not is_run
    with shortages_told(f"--out {root}"):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with exclusive_lock(root / LOCK):
            if overwrite:
                _delete_ours(root)
            yield RunDir(root)
    except UsageError:
        if was_empty and not any(path.is_dir() for path in root.iterdir()):
            _leave_as_found(root, was_there=was_there)
        raise


def read_run(root: Path) -> RunDir:
    """A finished run, for reading.

    Raises:
        UsageError: There is none.
    """
    if not (root / IDENTITY).exists():
        raise UsageError(f"{root}: is no noisyclean run", hint="Make one: noisyclean audit IMAGES LABELS.csv --out RUN")
    return RunDir(root)


def refuse_inside(images: Path, out: Path, option: str = "--out") -> None:
    """IMAGES is never written to.

    Raises:
        UsageError: ``out`` lies in it.
    """
    if out.resolve().is_relative_to(images.resolve()):
        raise UsageError(
            f"{option} {out}: lies inside IMAGES ({images}), which is never written to", hint="Name a place outside it."
        )


def _leave_as_found(root: Path, *, was_there: bool) -> None:
    """Take back what was written to a directory that was empty, or was not there."""
    for path in root.iterdir():
        path.unlink()
    if not was_there:
        root.rmdir()


def _delete_ours(root: Path) -> None:
    """Remove the outputs that the stages list, the stages themselves and the identity; strangers' files stay."""
    for done in root.glob("*/done.json"):
        for output in read_json(done)["outputs"]:
            path = (root / output).resolve()
            if path.is_relative_to(root.resolve()):
                path.unlink(missing_ok=True)
    for begun in root.glob("*/begun.json"):
        shutil.rmtree(begun.parent)
    for name in (IDENTITY, "plan.json"):
        (root / name).unlink(missing_ok=True)
