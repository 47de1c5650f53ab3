"""The run directory: one writer, known inputs, and nothing overwritten that is not ours."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisyclean.base.files import exclusive_lock, made_here, read_json, refuse_place, sha256_file, write_json
from noisyclean.base.log import Reporter, Silent
from noisyclean.base.shortage import shortages_told
from noisyclean.errors import UsageError
from noisyclean.pipeline.trail import TRAIL, WRITTEN

__all__ = ["EDITABLE", "FLAGGED", "RunDir", "open_run", "read_run", "refuse_inside", "refuse_own"]

IDENTITY = "run.json"
LOCK = ".lock"
SCHEMA_VERSION = 1
FLAGGED = "flagged.csv"
FLAGGED_ANEW = "flagged.new.csv"
"""Where the flagged images are listed if somebody filled in the list that is there."""
EDITABLE = frozenset({FLAGGED, FLAGGED_ANEW})
"""Outputs that people fill in."""


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

        Inputs that are the same may be described anew: a table that was moved, or saved with other line ends.

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
        changed = [name for name in {**known["inputs"], **inputs} if known["inputs"].get(name) != inputs.get(name)]
        if known["verb"] != verb or changed:
            what = " and ".join(changed) if changed else f"the verb ({known['verb']})"
            raise UsageError(
                f"{self.root} holds a run of other inputs: {what} changed since",
                hint="Give a new --out, or --overwrite to replace what that run wrote.",
            )
        if known["describe"] != dict(describe):
            write_json(path, known | {"describe": dict(describe)})

    @property
    def verb(self) -> str:
        """What made it: ``audit`` or ``train``."""
        verb: str = read_json(self.root / IDENTITY)["verb"]
        return verb

    def description(self) -> dict[str, Any]:
        """What :meth:`claim` wrote down: where images and labels are, and how they are read."""
        described: dict[str, Any] = read_json(self.root / IDENTITY)["describe"]
        return described

    def flagged(self) -> Path:
        """The list that a finished audit wrote last; where ``flagged.csv`` was edited, the one beside it."""
        outputs: dict[str, Any] = read_json(self.root / "report" / "done.json")["outputs"]
        return self.root / next(name for name in outputs if name in EDITABLE)

    def is_edited(self, name: str) -> bool:
        """Whether a file is there that no stage wrote like this."""
        path = self.root / name
        return path.exists() and sha256_file(path) not in _recorded(self.root).get(name, set())

    def write_flagged(self, temporary: Path, *, reporter: Reporter) -> Path:
        """Move a finished list to ``flagged.csv``; if the one there was edited, to ``flagged.new.csv`` beside it.

        Args:
            temporary: The finished list.
            reporter: Hears which of them were edited, and where they are.
        """
        target = self.root / FLAGGED
        if self.is_edited(FLAGGED) and sha256_file(target) != sha256_file(temporary):
            reporter.warn(f"{target}: was edited and stays as it is; the new list is {FLAGGED_ANEW} beside it")
            target = self.root / FLAGGED_ANEW
            if self.is_edited(FLAGGED_ANEW):
                _move_aside(target, "was edited", reporter)
        temporary.replace(target)
        return target


@contextmanager
def open_run(root: Path, *, overwrite: bool = False, reporter: Reporter | None = None) -> Iterator[RunDir]:
    """Create or continue a run directory, holding its lock; a usage error before any stage leaves no new one.

    Args:
        root: The directory; new, empty, or a run.
        overwrite: Delete what an earlier run wrote there first, and nothing else; what people filled in or decided is
            moved aside.
        reporter: Hears what is moved aside.

    Raises:
        UsageError: It holds something else.
        EnvironmentProblem: Another process writes to it, or it cannot be written.
    """
    is_run = (root / IDENTITY).exists() or (root / LOCK).exists()
    refuse_place(root, is_folder=True)
    if root.exists() and not is_run and any(root.iterdir()):
        raise UsageError(f"--out {root}: is not empty and holds no noisyclean run", hint="Give a new directory.")
    was_there, was_empty = root.exists(), not is_run
    with made_here(f"--out {root}"), shortages_told(f"--out {root}"):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with exclusive_lock(root / LOCK):
            if overwrite:
                _delete_ours(root, reporter or Silent())
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


def refuse_own(out: Path, earlier: Path) -> None:
    """A run does not take over from itself.

    Raises:
        UsageError: ``out`` is the earlier run.
    """
    if out.resolve() == earlier.resolve():
        raise UsageError(f"--out {out}: is the run that --reuse takes over from", hint="Give a new --out.")


def _leave_as_found(root: Path, *, was_there: bool) -> None:
    """Take back what was written to a directory that was empty, or was not there."""
    for path in root.iterdir():
        path.unlink()
    if not was_there:
        root.rmdir()


def _delete_ours(root: Path, reporter: Reporter) -> None:
    """Remove the outputs that the stages list, the stages themselves and the identity; strangers' files stay.

    People's work is neither lost nor counted for other inputs: it is moved aside first.
    """
    for name in sorted(EDITABLE):
        if RunDir(root).is_edited(name):
            _move_aside(root / name, "was edited", reporter)
    for name in (TRAIL, WRITTEN):
        if (root / name).exists():
            _move_aside(root / name, "is of the run that is overwritten", reporter)
    for output in _recorded(root):
        path = (root / output).resolve()
        if path.is_relative_to(root.resolve()):
            path.unlink(missing_ok=True)
    for begun in root.glob("*/begun.json"):
        shutil.rmtree(begun.parent)
    for name in (IDENTITY, "plan.json"):
        (root / name).unlink(missing_ok=True)


def _recorded(root: Path) -> dict[str, set[str]]:
    """SHA-256 of every output as the stages wrote it, now and the time before."""
    recorded: dict[str, set[str]] = {}
    for record in [*root.glob("*/begun.json"), *root.glob("*/done.json")]:
        for output, described in read_json(record)["outputs"].items():
            recorded.setdefault(output, set()).add(described["sha256"])
    return recorded


def _move_aside(path: Path, why: str, reporter: Reporter) -> None:
    """Keep a file under the first free name ``stem.earlier.suffix``, ``stem.earlier-2.suffix`` and so on."""
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    places = (path.with_name(f"{path.stem}.earlier{end}{path.suffix}") for end in ends)
    kept = next(place for place in places if not place.exists())
    path.rename(kept)
    reporter.warn(f"{path}: {why}; it is kept as {kept.name}")
