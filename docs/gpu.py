"""Run every check that needs a GPU, one after another, from the source tree; see gpu.md.

    python docs/gpu.py --data DATA --out OUT [--seconds 450] [--device cuda] [--tiny]

Each check is one `python -m noisyclean` command (or one small measurement) with its own log in OUT. A call works for
about SECONDS and then stops; the same call continues with the checks that are not done, and a command that was stopped
continues from its own checkpoint. A check that failed is not done: it is tried again once all others have been. The
last thing printed is the table. Exit code 0: all are done; 75: the same call has more to do; 1: only failures are left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOISE = (("symmetric", "0.2"), ("symmetric", "0.5"), ("symmetric", "0.8"), ("symmetric", "0.9"), ("asymmetric", "0.4"))


@dataclass(frozen=True)
class Check:
    """One owed figure."""

    name: str
    words: tuple[str, ...]
    """After `python -m noisyclean`, or after `python` where the first one is `-c`, `-m` or a file."""
    wanted: str
    after: str = ""
    """The check whose files it reads."""


def checks(data: Path, out: Path, device: str, is_tiny: bool) -> list[Check]:
    """All checks, those that matter most first."""
    images, on = str(data), ("--device", device)
    small = ("--images", "400", "--backbone", "noisyclean_compact") if is_tiny else ()
    few = ("--tiny",) if is_tiny else ()
    bench = ("noisyclean/bench/simclr.py", images, *on)
    tests = ("-m", "pytest", "-q", "-o", "addopts=", "-m", "gpu", "tests/engine")

    def pretraining(name: str, epochs: str, settings: tuple[str, ...], wanted: str) -> Check:
        sets = [word for setting in settings for word in ("--set", setting)]
        num = "1" if is_tiny else epochs
        return Check(name, (*bench, "--out", str(out / name), "--epochs", num, "--compile", *sets, *small), wanted)

    found = [
        Check("doctor", ("doctor", "--json"), "the accelerator's name"),
        Check("tests", tests, "no hidden wait in hot loops; replayed steps are the same steps"),
    ]
    for name, how in (("", ("--compile",)), ("-uncompiled", ()), ("-ordinary", ("--ordinary",))):
        words = (*bench, "--out", str(out / f"trace{name}"), "--trace", *how, *few)
        found.append(Check(f"trace{name}", words, "of_limit >= .25 of SimCLR's and DivideMix's steps"))
    narrow, long = "simclr.view_side=0.75", ("simclr.view_side=0.75", "simclr.temperature=0.5")
    found += [
        pretraining("simclr-20", "20", (narrow,), "knn_accuracy"),
        pretraining("simclr-20-whole", "20", (), "knn_accuracy of simclr-20"),
        pretraining("simclr-long", "200", long, "under 480 s, knn_accuracy >= .84"),
        *audit_of_worst(data, out, on, is_tiny),
        pretraining("simclr-long-slow", "200", (*long, "simclr.lr=0.1"), "knn_accuracy of simclr-long"),
    ]
    found += training_cells(data, out, on, is_tiny)
    for row in ("augment", "augment-kornia", "simclr", "simclr-bf16", "dividemix", "neighbours"):
        words = ("bench", "speed", "--only", row, "--data", images, "--json", *on, *few)
        found.append(Check(f"speed-{row}", words, "more than the peer"))
    return found


def audit_of_worst(data: Path, out: Path, on: tuple[str, ...], is_tiny: bool) -> list[Check]:
    """An audit of human label noise, from files, and how good it is."""
    small = ("--set", "probe.epochs=1", "--set", "probe.num_nets=1", "--set", "simclr.epochs=0") if is_tiny else ()
    audit = ("audit", str(data), str(data / "labels-worse.csv"), "--out", str(out / "audit"), "--json", *on, *small)
    judge = ("evaluate", str(out / "audit"), "--truth", str(data / "truth.csv"), "--json")
    return [
        Check("audit-worst", audit, "at most 600 s from files"),
        Check("evaluate-worst", judge, "f1 >= .92", after="audit-worst"),
    ]


def training_cells(data: Path, out: Path, on: tuple[str, ...], is_tiny: bool) -> list[Check]:
    """Clean labels, human noise, and the noise of the published table; each from files to accuracy."""
    images, truth = str(data), str(data / "truth.csv")
    found = []
    small = ("--set", "budget.passes=6", "--set", "simclr.epochs=1") if is_tiny else ()
    test = ("--test", str(data / "test.csv")) if (data / "test.csv").exists() else ()
    cells = {"clean": (truth, ""), "worst": (str(data / "labels-worse.csv"), "")}
    for kind, rate in NOISE[: 1 if is_tiny else None]:
        name = f"{kind}-{rate}"
        cells[name] = (str(out / f"{name}.csv"), f"corrupt-{name}")
        words = (
            "corrupt",
            truth,
            "--kind",
            kind,
            "--rate",
            rate,
            "--seed",
            "0",
            "--out",
            cells[name][0],
            "--overwrite",
        )
        found.append(Check(f"corrupt-{name}", words, "a table"))
    for name, (labels, after) in cells.items():
        method = "cross-entropy" if name == "clean" else "dividemix"
        where = str(out / f"train-{name}")
        words = ("train", images, labels, "--out", where, "--method", method, "--json", *test, *on, *small)
        found.append(Check(f"train-{name}", words, "clean >= .965; the published table", after=after))
    return found


def main() -> int:
    """Work for a while; returns the exit code."""
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + asked.seconds
    owed = checks(asked.data.resolve(), asked.out.resolve(), asked.device, asked.tiny)
    untried = [check for check in owed if not done(asked.out, check.name) and not failed(asked.out, check.name)]
    again = [check for check in owed if failed(asked.out, check.name)]
    for check in [*untried, *again]:
        if (left := end - time.monotonic()) < asked.least:
            break
        if not check.after or done(asked.out, check.after):
            run(check, asked.out, left)
    print_table(owed, asked.out)
    if all(done(asked.out, check.name) for check in owed):
        return 0
    return 75 if any(is_open(asked.out, check) for check in owed) else 1


def is_open(out: Path, check: Check) -> bool:
    """Whether a check waits for its first try, and not for one that failed."""
    is_tried = done(out, check.name) or failed(out, check.name)
    return not is_tried and not (check.after and failed(out, check.after))


def done(out: Path, name: str) -> bool:
    """Whether a check ended well."""
    return (out / f"{name}.json").exists()


def failed(out: Path, name: str) -> bool:
    """Whether a check ended otherwise when it was last tried."""
    return (out / f"{name}.failed.json").exists()


def run(check: Check, out: Path, left_s: float) -> None:
    """Run one check; what it printed is kept when it ended by itself, else the next call continues it."""
    own = not check.words[0].startswith("-") and not check.words[0].endswith(".py")
    command = [sys.executable, *(("-m", "noisyclean") if own else ()), *check.words]
    print("$", " ".join(command), flush=True)
    start = time.monotonic()
    spent = out / f"{check.name}.seconds"
    before = float(spent.read_text()) if spent.exists() else 0.0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with (out / f"{check.name}.log").open("a") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            printed, _ = process.communicate(timeout=left_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate()
            spent.write_text(str(before + time.monotonic() - start))
            print(f"  stopped after {left_s:.0f} s; the same call continues", flush=True)
            return
    seconds = before + time.monotonic() - start
    content = {"command": command[1:], "exit_code": process.returncode, "seconds": seconds, "figures": figures(printed)}
    is_good = process.returncode == 0
    write(out / f"{check.name}{'' if is_good else '.failed'}.json", content)
    (out / f"{check.name}.failed.json").unlink(missing_ok=True) if is_good else print("  failed", flush=True)


def write(path: Path, content: dict[str, object]) -> None:
    """A file that is whole or not there."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2))
    temporary.replace(path)


def figures(printed: str) -> dict[str, object]:
    """What a command printed, where that is one JSON object."""
    try:
        value = json.loads(printed)
        return value if isinstance(value, dict) else {}
    except ValueError:
        return {"printed": printed[-2000:]}


def print_table(owed: list[Check], out: Path) -> None:
    """One line for each check: seconds, the figures that count, what is wanted."""
    print(f"\n{'check':24} {'exit':>4} {'seconds':>8}  figures")
    for check in owed:
        path = out / f"{check.name}{'.failed' if failed(out, check.name) else ''}.json"
        if not path.exists():
            print(f"{check.name:24} {'owed':>4} {'':8}  wanted: {check.wanted}")
            continue
        kept = json.loads(path.read_text())
        words = f"failed, see {check.name}.log" if kept["exit_code"] else summary(kept["figures"])
        print(f"{check.name:24} {kept['exit_code']:4} {kept['seconds']:8.1f}  {words}")


def summary(found: dict[str, object]) -> str:
    """The few figures that the checks are about."""
    parts = []
    rows = found.get("rows")
    for row in rows if isinstance(rows, list) else []:
        keys = ("ratio", "ours", "of_limit")
        parts += [f"{key} {row[key]:,.3g}" for key in keys if isinstance(row.get(key), int | float)]
    keys = ("accelerator", "f1", "average_precision", "auroc", "noise_rate_true", "noise_rate_estimated", "ece")
    for key in (*keys, "test_accuracy", "selected_test_accuracy", "knn_accuracy", "views_per_second"):
        value = found.get(key)
        if value is not None:
            parts.append(f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}")
    for name, traced in found.items():
        if isinstance(traced, dict) and "busy" in traced:
            parts.append(f"{name} {traced['step_ms']} ms a step, {traced['of_limit']:.1%} of the peak")
    return ", ".join(parts) or str(found.get("printed", "")).strip().rpartition("\n")[2]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="train, test, labels-worse.csv, truth.csv")
    parser.add_argument("--out", type=Path, required=True, help="where results are kept; the same folder continues")
    parser.add_argument("--seconds", type=float, default=450, help="of this call")
    parser.add_argument("--least", type=float, default=20, help="seconds left below which no check is begun")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="hardly any work: to see that every command runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
