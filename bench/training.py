"""Every training method at one budget, on several seeds, through the command line; a Markdown table at the end.

    python bench/training.py digits --out build/digits
    python bench/training.py folder --out build/ten --images IMAGES --labels L.csv --truth TRUTH.csv --test TEST.csv

``digits`` are scikit-learn's 1,797 hand-written digits: 1,297 to train on, the same 500 to test on, with 40 % of the
labels wrong (``symmetric``), or 40 % of the labels turned into the next class (``asymmetric``). Cells that are finished
are not done again; an interrupted cell continues.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from noisyclean.data.demo import write_digits

NUM_TEST = 500
PLAIN = ("--method", "cross-entropy", "--set", "robust.mixup_alpha=0", "--set", "robust.ema_decay=0")
CELLS: dict[str, tuple[str, ...]] = {
    "cross-entropy, plain": PLAIN,
    "cross-entropy": ("--method", "cross-entropy"),
    "dividemix": ("--method", "dividemix"),
    "elr-plus": ("--method", "elr-plus"),
    "moit": ("--method", "moit"),
    "moit-plus": ("--method", "moit-plus"),
    "mixmatch-oracle": ("--method", "mixmatch-oracle"),
}
"""Name in the table, and what is typed."""


@dataclass(frozen=True)
class Problem:
    """Noisy labels to train on, by seed."""

    name: str
    images: Path
    labels: dict[int, Path]
    truth: Path
    test: Path


def main() -> None:
    """Do all cells, then print the table."""
    asked = _arguments()
    problems = _digits(asked.out / "data", asked.noise, asked.seeds) if asked.what == "digits" else [_folder(asked)]
    cells = {name: words for name, words in CELLS.items() if not asked.only or name in asked.only}
    figures: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in asked.seeds:
        for problem in problems:
            for name, words in cells.items():
                figures.setdefault((name, problem.name), []).append(_cell(asked, problem, name, words, seed))
    print(_table(figures, [problem.name for problem in problems], list(cells)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("digits", "folder"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--noise", nargs="+", default=["symmetric", "asymmetric"])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--only", nargs="+", default=[], help=f"some of: {', '.join(CELLS)}")
    parser.add_argument("--launcher", default="", help="put before each command, such as 'flock FILE'")
    parser.add_argument("--more", default="", help="added to each command, such as '--init simclr'")
    for name in ("images", "labels", "truth", "test"):
        parser.add_argument(f"--{name}", type=Path)
    return parser.parse_args()


def _folder(asked: argparse.Namespace) -> Problem:
    return Problem("as given", asked.images, dict.fromkeys(asked.seeds, asked.labels), asked.truth, asked.test)


def _digits(folder: Path, kinds: list[str], seeds: list[int]) -> list[Problem]:
    write_digits(folder, rate=0.0, seed=0)
    truth = pd.read_csv(folder / "truth.csv", dtype=str)
    is_test_N = np.zeros(len(truth), dtype=bool)
    is_test_N[np.random.default_rng(0).permutation(len(truth))[:NUM_TEST]] = True
    truth[is_test_N].to_csv(folder / "test.csv", index=False)
    truth[~is_test_N].to_csv(folder / "train.csv", index=False)
    problems: list[Problem] = []
    for kind in kinds:
        labels = {seed: folder / f"{kind}-{seed}.csv" for seed in seeds}
        for seed, path in labels.items():
            words = ["corrupt", str(folder / "train.csv"), "--kind", kind, "--rate", "0.4", "--seed", str(seed)]
            subprocess.run([sys.executable, "-m", "noisyclean", *words, "--out", str(path)], check=True)
        problems.append(Problem(kind, folder / "images", labels, folder / "train.csv", folder / "test.csv"))
    return problems


def _cell(
    asked: argparse.Namespace, problem: Problem, name: str, words: tuple[str, ...], seed: int
) -> dict[str, float]:
    out = asked.out / f"{problem.name}-{name}-{seed}".replace(",", "").replace(" ", "-")
    if not (out / "summary.json").exists():
        command = [*shlex.split(asked.launcher), sys.executable, "-m", "noisyclean", "train"]
        command += [str(problem.images), str(problem.labels[seed]), "--out", str(out), "--preset", asked.preset]
        command += ["--test", str(problem.test), "--truth", str(problem.truth), "--seed", str(seed), *words]
        subprocess.run([*command, *shlex.split(asked.more)], check=True, stderr=subprocess.DEVNULL)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    figures = {
        "accuracy": summary["test_accuracy"],
        "selected": summary["selected_test_accuracy"],
        "auroc": summary["detection"]["auroc"],
        "seconds": sum(stage["seconds"] for stage in summary["stages"].values()),
    }
    print(problem.name, name, seed, {key: round(value, 4) for key, value in figures.items()}, file=sys.stderr)
    return figures


def _table(figures: dict[tuple[str, str], list[dict[str, float]]], problems: list[str], cells: list[str]) -> str:
    head = ["training", *(f"{problem}: {what}" for problem in problems for what in ("last epoch", "selected", "AUROC"))]
    rows = [head, ["---"] * len(head)]
    for cell in cells:
        rows.append([cell])
        for problem in problems:
            rows[-1] += [_spread([one[key] for one in figures[cell, problem]]) for key in ("accuracy", "selected")]
            rows[-1].append(f"{statistics.mean(one['auroc'] for one in figures[cell, problem]):.3f}")
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(values: list[float]) -> str:
    deviation = 100 * statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {deviation:.1f}"


if __name__ == "__main__":
    main()
