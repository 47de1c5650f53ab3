"""Shared fixtures: small synthetic image folders, and the command line called in-process."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noisyclean.data.shapes import SHAPES, draw_shape

CLASSES = SHAPES


def _keep_to_one_core() -> None:
    """Each worker of a parallel run has a core to itself: on shared ones their threads would wait for each other."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


_keep_to_one_core()


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The object printed by ``--json``."""
        value: dict[str, Any] = json.loads(self.stdout)
        return value


Run = Callable[..., Result]


@pytest.fixture
def cli() -> Run:
    """Call ``noisyclean WORDS...`` in this process."""
    from noisyclean.cli.app import app

    def run(*words: object) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(autouse=True)
def _quiet_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("NOISYCLEAN_DEBUG", "1")
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _hasty_stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an exact estimate."""
    monkeypatch.setattr("noisyclean.pipeline.costs.LEAST_S", 0.0)


@dataclass(frozen=True)
class Shapes:
    """A folder of shapes, with 20 % of the labels wrong."""

    root: Path
    images: Path
    labels: Path
    truth: Path
    names: list[str]
    given: list[str]
    true: list[str]

    @property
    def num_wrong(self) -> int:
        """Labels that differ from the truth."""
        return sum(given != true for given, true in zip(self.given, self.true, strict=True))


def write_table(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("path", "label")) -> Path:
    """Write a CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def make_shapes(root: Path, num: int = 240, *, rate: float = 0.2, seed: int = 0) -> Shapes:
    """Write ``images/*.png``, ``labels.csv`` and ``truth.csv``."""
    generator = np.random.default_rng(seed)
    images = root / "images"
    images.mkdir(parents=True)
    names, given, true = [], [], []
    for index in range(num):
        name = CLASSES[index % len(CLASSES)]
        Image.fromarray(draw_shape(name, generator)).save(images / f"{index:03d}.png")
        others = [other for other in CLASSES if other != name]
        names.append(f"{index:03d}.png")
        true.append(name)
        given.append(str(generator.choice(others)) if generator.random() < rate else name)
    labels = write_table(root / "labels.csv", list(zip(names, given, strict=True)))
    truth = write_table(root / "truth.csv", list(zip(names, true, strict=True)))
    return Shapes(root, images, labels, truth, names, given, true)


@pytest.fixture
def shapes(tmp_path: Path) -> Shapes:
    """240 pictures of three shapes."""
    return make_shapes(tmp_path / "shapes")


SMALL = ("probe.epochs=4", "probe.batch=32", "embed.num_filters=32")
"""Settings that make an audit of shapes a matter of a second or two."""
QUICK = ("--preset", "quick", "--augment", "natural", *(word for item in SMALL for word in ("--set", item)))
"""Options that do."""


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shapes, Path]:
    """One finished audit of shapes; not to be written to."""
    from noisyclean.pipeline.audit import audit

    shapes = make_shapes(tmp_path_factory.mktemp("audited"))
    audit(
        shapes.images,
        shapes.labels,
        out=shapes.root / "run",
        preset="quick",
        augment="natural",
        set=(*SMALL, "probe.epochs=8"),
    )
    return shapes, shapes.root / "run"


@pytest.fixture
def in_tmp(tmp_path: Path) -> Iterator[Path]:
    """Work in an empty folder."""
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        yield tmp_path
    finally:
        os.chdir(before)
