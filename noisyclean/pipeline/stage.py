"""A stage: work that is done once for given settings and inputs, and known to be done.

    begun.json    fingerprint of what the files here belong to; other files than that are deleted before work starts
    done.json     written last: fingerprint, settings, inputs, outputs with SHA-256, seconds, peak memory, reason

A stage that begun.json says was interrupted continues with the files it left; one that done.json says is finished is
skipped; one whose settings or inputs changed starts anew and says which.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noisyclean import __version__
from noisyclean.base.files import fingerprint, read_json, sha256_file, write_json
from noisyclean.base.log import Reporter
from noisyclean.base.memory import MEMORY, watch_memory
from noisyclean.base.runtime import give_back_memory
from noisyclean.base.shortage import shortages_told
from noisyclean.pipeline.rundir import RunDir

__all__ = ["DONE", "Stage", "TakenOver", "digest", "run_stage", "stage_outputs", "undo_stage"]

BEGUN = "begun.json"
DONE = "done.json"


@dataclass(frozen=True)
class Stage:
    """A finished stage."""

    name: str
    folder: Path
    fingerprint: str
    seconds: float
    memory: Mapping[str, int]
    """The most that it took, in bytes: ``peak_memory_bytes`` and, on an accelerator, ``peak_device_memory_bytes``."""
    was_done: bool
    """Whether an earlier process did it."""


@dataclass(frozen=True)
class TakenOver:
    """A stage's outputs, taken from an earlier run."""

    mark: str
    """Fingerprint of what is taken."""
    bring: Callable[[Path], Iterable[Path]]
    """Puts the outputs into the folder it is given and returns them."""


def run_stage(
    run: RunDir,
    name: str,
    work: Callable[[Path], Iterable[Path]],
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    reporter: Reporter,
    may_be_edited: frozenset[str] = frozenset(),
    instead: TakenOver | None = None,
) -> Stage:
    """Do a stage's work unless it is done.

    Args:
        run: The run directory.
        name: The stage, a folder in it.
        work: Does the work in the folder it is given and returns the files that are its outputs, in the run or in a
            cache; called again after an interruption, with the files it had left.
        settings: What the work depends on, JSON-like.
        inputs: Fingerprints of what it reads, by name.
        reporter: Hears why it works or does not.
        may_be_edited: Outputs, by file name, that a person may change without undoing the stage.
        instead: Takes the outputs from an earlier run; done in place of the work.

    Raises:
        EnvironmentProblem: The work lacked memory, disk or access.
    """
    folder = run.stage_folder(name)
    if instead is not None:
        work, inputs = instead.bring, {**inputs, "earlier run": instead.mark}
    identity = {"settings": dict(settings), "inputs": dict(inputs), "version": __version__}
    mark = fingerprint(identity)
    done = _read(folder / DONE)
    reason = _why_again(run, done, identity, mark, may_be_edited)
    if done is not None and not reason:
        memory = {key: done[key] for key in MEMORY if key in done}
        return _noted(run, Stage(name, folder, mark, done["seconds"], memory, was_done=True))
    if reason:
        reporter.say(f"{name}: again, because {reason}")
    _begin(folder, mark, anew=done is not None)
    start = time.monotonic()
    with shortages_told(name), watch_memory() as memory:
        outputs = sorted(work(folder))
    give_back_memory()  # else what this stage no longer needs lies between what the next one takes
    seconds = round(time.monotonic() - start, 3)
    record = {
        "fingerprint": mark,
        **identity,
        "outputs": {_name(run, path): _describe(path) for path in outputs},
        "seconds": seconds,
        **memory,
        "reason": reason or "first time",
    }
    write_json(folder / DONE, record)
    return _noted(run, Stage(name, folder, mark, seconds, memory, was_done=False))


def undo_stage(run: RunDir, name: str) -> None:
    """Let a finished stage work again, because what it wrote was replaced."""
    folder = run.stage_folder(name)
    done = _read(folder / DONE)
    if done is not None:
        write_json(folder / BEGUN, {"fingerprint": done["fingerprint"], "outputs": done["outputs"]})
        (folder / DONE).unlink()


def stage_outputs(run: RunDir, name: str) -> list[Path]:
    """The files a finished stage wrote, in the run or in a cache."""
    return [run.root / output for output in read_json(run.stage_folder(name) / DONE)["outputs"]]


def _noted(run: RunDir, stage: Stage) -> Stage:
    run.costs[stage.name] = {"seconds": stage.seconds, **stage.memory}
    return stage


def _begin(folder: Path, mark: str, *, anew: bool) -> None:
    """Make the folder ours for this fingerprint, keeping what an interrupted run with the same one left."""
    begun = _read(folder / BEGUN)
    outputs = (_read(folder / DONE) or begun or {}).get("outputs", {})
    if anew or begun is None or begun["fingerprint"] != mark:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        write_json(folder / BEGUN, {"fingerprint": mark, "outputs": outputs})


def _name(run: RunDir, path: Path) -> str:
    """An output's path below the run; as it is where the output lives in a cache."""
    return path.relative_to(run.root).as_posix() if path.is_relative_to(run.root) else str(path)


def _read(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _describe(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"sha256": sha256_file(path), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _why_again(
    run: RunDir, done: Mapping[str, Any] | None, identity: Mapping[str, Any], mark: str, may_be_edited: frozenset[str]
) -> str:
    """Why a finished stage cannot be used as it is; empty if it can, or if there is none."""
    if done is None:
        return ""
    if done["fingerprint"] != mark:
        return "; ".join(_changes(run, done, identity)) or "the version of noisyclean changed"
    for output, recorded in done["outputs"].items():
        path = run.root / output
        if not path.exists():
            return f"{output} is gone"
        if path.name not in may_be_edited and not _is_intact(path, recorded):
            return f"{output} was changed"
    return ""


def _is_intact(path: Path, recorded: Mapping[str, Any]) -> bool:
    status = path.stat()
    if status.st_size != recorded["bytes"]:
        return False
    return bool(status.st_mtime_ns == recorded["modified_ns"] or sha256_file(path) == recorded["sha256"])


def _changes(run: RunDir, done: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    before, now = done["settings"], identity["settings"]
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    changes = [f"{name} changed from {before.get(name)} to {now.get(name)}" for name in names]
    before, now = done["inputs"], identity["inputs"]
    inputs = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return changes + [f"{name} {_what_of(run, name, is_there=name in now)}" for name in inputs]


def _what_of(run: RunDir, name: str, *, is_there: bool) -> str:
    """What became of an input."""
    if not is_there:
        return "is left out"
    return "was done again" if (run.root / name).is_dir() else "changed"


def digest(*arrays: np.ndarray | None) -> str:
    """Hash of arrays that a stage takes in, of which some may not be there."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]
