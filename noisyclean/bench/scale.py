"""How time and memory grow with the number of images: an audit of generated ones at two sizes, stage by stage.

    python -m noisyclean.bench.scale OUT [--sizes 20000 200000] [--seconds 400]

The net is trained for one epoch only, because what grows is measured, not what is found. A call stops the audit after
SECONDS; the same call continues. Stages a call stopped in the middle are marked: their seconds are of their last part.
The generated pictures are deleted once their audit is done.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from noisyclean.bench.workload import generated_folder

SETTINGS = ("--set", "probe.epochs=1", "--augment", "natural", "--size", "32")
STAGES = ("prepare", "embed", "train-probe", "score", "report")


def main() -> int:
    """Audit every size, then print the table; 75 while there is more to do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=(20_000, 200_000))
    parser.add_argument("--seconds", type=float, default=400)
    asked = parser.parse_args()
    end = time.monotonic() + asked.seconds
    for size in asked.sizes:
        place = asked.out / str(size)
        if not (place / "run" / "summary.json").exists() and not audit(place, size, end):
            return 75
    print_table({size: asked.out / str(size) for size in asked.sizes})
    return 0


def audit(place: Path, size: int, end: float) -> bool:
    """Generate and audit ``size`` pictures; False when the time is up."""
    if not (place / "data" / "truth.csv").exists():
        shutil.rmtree(place / "data", ignore_errors=True)
        generated_folder(place / "data", size)
    words = ("audit", place / "data" / "images", place / "data" / "labels.csv", "--out", place / "run", *SETTINGS)
    process = subprocess.Popen([sys.executable, "-m", "noisyclean", *map(str, words)])
    try:
        code = process.wait(timeout=max(1.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        stopped_in = [name for name in STAGES if (place / "run" / name / "begun.json").exists()]
        stopped_in = [name for name in stopped_in if not (place / "run" / name / "done.json").exists()]
        (place / "stopped.json").write_text(json.dumps(stopped_in))
        process.send_signal(signal.SIGINT)
        process.wait()
        return False
    if code:
        raise SystemExit(code)
    shutil.rmtree(place / "data")
    return True


def print_table(places: dict[int, Path]) -> None:
    """Milliseconds for each image, and the peak of memory, by stage."""
    print("| images | " + " | ".join(f"{stage}, ms an image" for stage in STAGES) + " | peak, GiB |")
    print("|---" * (len(STAGES) + 2) + "|")
    for size, place in places.items():
        done = {stage: json.loads((place / "run" / stage / "done.json").read_text()) for stage in STAGES}
        stopped = json.loads((place / "stopped.json").read_text()) if (place / "stopped.json").exists() else []
        cells = [f"{1000 * done[stage]['seconds'] / size:.2f}{'*' * (stage in stopped)}" for stage in STAGES]
        peak = max(stage["peak_memory_bytes"] for stage in done.values()) / 2**30
        print(f"| {size:,} | " + " | ".join(cells) + f" | {peak:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
