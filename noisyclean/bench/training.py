"""``noisyclean bench training``: every training at one budget, on several seeds, and a table with spread.

``digits`` are scikit-learn's 1,797 hand-written digits: 1,297 to train on, always the same 500 to test on, with 40 % of
the labels wrong (``symmetric``), or 40 % of the labels turned into the next class (``asymmetric``). Cells that are
finished are not done again, and an interrupted one continues.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import read_json, write_json, write_text
from noisyclean.base.log import Reporter, Silent
from noisyclean.config import Plan, SimCLRConfig
from noisyclean.data.demo import write_digits
from noisyclean.errors import UsageError
from noisyclean.pipeline.corrupt import corrupt
from noisyclean.pipeline.train import train

__all__ = ["CELLS", "Cell", "bench_training", "markdown_table"]

SCHEMA_VERSION = 1
NUM_TEST = 500
NOISE_RATE = 0.4
NOISE = ("symmetric", "asymmetric")
FIGURES = {"accuracy": "last epoch", "selected": "selected", "auroc": "AUROC"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A training to compare: one row of the table."""

    method: str
    settings: tuple[str, ...] = ()
    simclr_share: float = 0.0
    """Of the budget, spent on SimCLR: the training gets what is left, so that all rows cost the same."""


CELLS: Mapping[str, Cell] = {
    "cross-entropy-plain": Cell(method="cross-entropy", settings=("robust.mixup_alpha=0", "robust.ema_decay=0")),
    "cross-entropy": Cell(method="cross-entropy"),
    "cross-entropy-strong": Cell(method="cross-entropy", settings=("robust.has_strong_views=true",)),
    "label-refinery": Cell(method="label-refinery"),
    "dividemix": Cell(method="dividemix"),
    "dividemix-simclr": Cell(method="dividemix", settings=("simclr.batch=64", "simclr.lr=0.0625"), simclr_share=0.25),
    "elr-plus": Cell(method="elr-plus"),
    "moit": Cell(method="moit"),
    "moit-plus": Cell(method="moit-plus"),
    "mixmatch-oracle": Cell(method="mixmatch-oracle"),
    "mixmatch-oracle-same-size": Cell(method="mixmatch-oracle", settings=("robust.form=same-size",)),
}
"""By the name they are asked for."""


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """Noisy labels to train on, by seed."""

    name: str
    images: Path
    labels: Mapping[int, Path]
    truth: Path
    test: Path


def bench_training(
    *,
    out: str | Path,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    truth: str | Path | None = None,
    test: str | Path | None = None,
    only: Iterable[str] = (),
    seeds: Iterable[int] = (0, 1, 2),
    noise: Iterable[str] = NOISE,
    preset: str = "quick",
    set: Iterable[str] = (),
    device: str = "auto",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train everything at one budget and say what came of it.

    Args:
        out: Folder of the runs; the same call continues.
        images: Folder of images of your own; digits by default.
        labels: Their noisy labels.
        truth: Their true labels, for oracles and for judging the detection.
        test: Images with true labels, to judge by.
        only: Names of :data:`CELLS`; all by default.
        seeds: Of the noise put into the digits, and of the trainings.
        noise: Kinds of noise put into the digits.
        preset: ``quick``, ``standard``, ``thorough`` or ``paper``.
        set: Settings of every training, ``stage.key=value``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        reporter: Hears about the progress.

    Returns:
        ``rows``, one for each training and problem, with ``passes`` and, for each seed, ``accuracy`` (last epoch),
        ``selected`` and ``auroc``; and ``table``, the same in Markdown.

    Raises:
        UsageError: An unknown name, or images without labels, truth and test.
    """
    names = list(only) or list(CELLS)
    for kind, given, known in (("only", names, list(CELLS)), ("noise", list(noise), list(NOISE))):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise UsageError(f"--{kind} {unknown[0]}: unknown", hint=f"Known are {', '.join(known)}.")
    reporter, folder, seeds = reporter or Silent(), Path(out), list(seeds)
    if images is None:
        problems = _digits(folder / "data", list(noise), seeds)
    else:
        problems = [_own(images, labels, truth, test, seeds)]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    with reporter.track("training", total=len(names) * len(problems) * len(seeds), unit="trainings") as meter:
        for seed in seeds:
            for problem in problems:
                for name in names:
                    figures = _train(folder, problem, name, seed, preset=preset, settings=tuple(set), device=device)
                    row = rows.setdefault((name, problem.name), {"name": name, "problem": problem.name, "seeds": {}})
                    row["passes"] = figures.pop("passes")
                    row["seeds"][str(seed)] = figures
                    meter.advance(1, f"{problem.name} {name} {seed}: {figures['accuracy']:.1%}")
    found = list(rows.values())
    return {"schema_version": SCHEMA_VERSION, "preset": preset, "rows": found, "table": markdown_table(found)}


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mean and standard deviation over the seeds, in per cent; a line for each training, columns for each problem."""
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows))
    figures = {(row["name"], row["problem"]): list(row["seeds"].values()) for row in rows}
    head = ["training", *(f"{problem}: {what}" for problem in problems for what in FIGURES.values())]
    lines = [head, ["---"] * len(head)]
    for name in names:
        lines.append([name])
        for problem in problems:
            lines[-1] += [_spread([seed[key] for seed in figures[name, problem]]) for key in FIGURES]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _own(
    images: str | Path,
    labels: str | Path | None,
    truth: str | Path | None,
    test: str | Path | None,
    seeds: Sequence[int],
) -> _Problem:
    if labels is None or truth is None or test is None:
        raise UsageError("--images needs --labels, --truth and --test", hint="Without --images it takes digits.")
    return _Problem(
        name="as given",
        images=Path(images),
        labels=dict.fromkeys(seeds, Path(labels)),
        truth=Path(truth),
        test=Path(test),
    )


def _digits(folder: Path, kinds: Sequence[str], seeds: Sequence[int]) -> list[_Problem]:
    write_digits(folder, rate=0.0, seed=0)
    truth = pd.read_csv(folder / "truth.csv", dtype=str)
    is_test_N = np.zeros(len(truth), dtype=bool)
    is_test_N[np.random.default_rng(0).permutation(len(truth))[:NUM_TEST]] = True
    for name, part in (("test", truth[is_test_N]), ("train", truth[~is_test_N])):
        write_text(folder / f"{name}.csv", part.to_csv(index=False, lineterminator="\n"))
    labels = {(kind, seed): folder / f"{kind}-{seed}.csv" for kind in kinds for seed in seeds}
    for (kind, seed), path in labels.items():
        corrupt(folder / "train.csv", kind=kind, rate=NOISE_RATE, seed=seed, out=path, overwrite=True)
    return [
        _Problem(
            name=kind,
            images=folder / "images",
            labels={seed: labels[kind, seed] for seed in seeds},
            truth=folder / "train.csv",
            test=folder / "test.csv",
        )
        for kind in kinds
    ]


def _train(
    folder: Path, problem: _Problem, name: str, seed: int, *, preset: str, settings: tuple[str, ...], device: str
) -> dict[str, Any]:
    """One training, unless it is finished as asked; its figures, and the passes it cost, pre-training included."""
    cell = CELLS[name]
    out = folder / f"{problem.name}-{name}-{seed}".replace(" ", "-")
    words = (*settings, *cell.settings)
    given: dict[str, Any] = {
        "images": problem.images,
        "labels": problem.labels[seed],
        "out": out,
        "method": cell.method,
        "test": problem.test,
        "truth": problem.truth,
        "preset": preset,
        "device": device,
        "seed": seed,
    }
    asked = {**{key: str(value) for key, value in given.items()}, "set": list(words)}
    record = folder / f"{out.name}.asked.json"
    if not record.exists() or read_json(record) != asked:
        if cell.simclr_share > 0:
            planned = train(**given, set=words, dry_run=True)["plan"]
            budget, passes = planned["budget"]["passes"], _pretraining(planned).passes_an_epoch
            epochs = max(1, round(cell.simclr_share * budget / passes))
            words = (*words, f"simclr.epochs={epochs}", f"budget.passes={budget - passes * epochs}")
        train(**given, set=words)
        write_json(record, asked)
    summary = read_json(out / "summary.json")
    plan = summary["plan"]
    simclr = _pretraining(plan)
    return {
        "accuracy": summary["test_accuracy"],
        "selected": summary["selected_test_accuracy"],
        "auroc": summary["detection"]["auroc"],
        "passes": plan["budget"]["passes"] + simclr.epochs * simclr.passes_an_epoch,
    }


def _pretraining(plan: Mapping[str, Any]) -> SimCLRConfig:
    return Plan.from_json(plan["base"]).simclr


def _spread(values: Sequence[float]) -> str:
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * statistics.stdev(values):.1f}"
