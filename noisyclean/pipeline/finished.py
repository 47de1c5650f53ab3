"""A finished audit, opened for reading: what it was of, how it was planned, what it found."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from noisyclean.base.files import read_json, sha256_file
from noisyclean.config import Plan
from noisyclean.data.ingest import Ingested, IngestOptions, read_labels
from noisyclean.errors import UsageError
from noisyclean.pipeline.rundir import RunDir, read_run

__all__ = ["FinishedRun", "describe_inputs", "open_finished", "weight_files"]


def describe_inputs(images: Path, labels: Path | None, options: IngestOptions) -> dict[str, Any]:
    """What a run notes of its inputs, so that later commands find and read them again."""
    return {
        "images": str(images.absolute()),
        "labels": "" if labels is None else str(labels.absolute()),
        "labels_sha256": "" if labels is None else sha256_file(labels),
        "options": asdict(options),
    }


@dataclass(frozen=True)
class FinishedRun:
    """Everything later commands need of an audit; read when first asked for."""

    run: RunDir

    @property
    def root(self) -> Path:
        """The run directory."""
        return self.run.root

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """What :func:`describe_inputs` noted."""
        return self.run.description()

    @property
    def images(self) -> Path:
        """The images folder."""
        return Path(self.described["images"])

    @property
    def labels(self) -> Path | None:
        """The label table; None for folders."""
        return Path(self.described["labels"]) if self.described["labels"] else None

    @property
    def labels_sha256(self) -> str:
        """Hash of the label table when it was audited."""
        return str(self.described["labels_sha256"])

    @property
    def options(self) -> IngestOptions:
        """How the table was read."""
        return IngestOptions(**self.described["options"])

    @functools.cached_property
    def request(self) -> dict[str, Any]:
        """What the user asked of the plan."""
        asked: dict[str, Any] = read_json(self.root / "plan.json")["request"]
        return asked

    @functools.cached_property
    def plan(self) -> Plan:
        """What it became."""
        return Plan.from_json(read_json(self.root / "plan.json")["plan"])

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """``summary.json``."""
        summary: dict[str, Any] = read_json(self.root / "summary.json")
        return summary

    @functools.cached_property
    def normalisation(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of each channel that its nets are used to, in [0, 1]."""
        config = read_json(self.root / "model" / "config.json")["pretrained_cfg"]
        return config["mean"], config["std"]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the outputs."""
        return tuple(row["name"] for row in self.summary["classes"])

    @functools.cached_property
    def scores(self) -> pd.DataFrame:
        """``scores.csv`` as text, every image of the table in its order."""
        return pd.read_csv(self.root / "scores.csv", dtype=str, keep_default_na=False, encoding="utf-8")

    def read_labels(self) -> Ingested:
        """The audited table, read again."""
        return read_labels(self.images, self.labels, self.options)


def open_finished(root: Path) -> FinishedRun:
    """Open a finished audit.

    Raises:
        UsageError: It is none, or not finished.
    """
    run = read_run(root)
    if run.verb != "audit":
        raise UsageError(f"{root}: is a training, not an audit", hint="What it is worth stands in its report.html.")
    if not (root / "summary.json").exists() or not (root / "scores.csv").exists():
        raise UsageError(f"{root}: the audit is not finished", hint="Run the same audit command again; it continues.")
    return FinishedRun(run)


def weight_files(finished: FinishedRun) -> Sequence[Path]:
    """Weights of each network of a run; what the network said of the audited images lies beside them as npz.

    Raises:
        UsageError: There are none.
    """
    if finished.plan.way == "given":
        raise UsageError(
            f"{finished.root}: was judged by given arrays and has no net",
            hint="Audit the same images with nets of their own, or with --init local-dir:PATH.",
        )
    if finished.plan.way == "frozen":
        return [finished.run.stage_folder("frozen") / "net-0.safetensors"]
    folder = finished.run.stage_folder("train-probe")
    return [folder / f"net-{index}.safetensors" for index in range(finished.plan.probe.num_nets)]
