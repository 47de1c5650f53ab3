"""A model folder applied to images, block by block; every block is on disk before the next one starts.

.NAME.part/head.json    what the predictions are of: a hash of model and files
.NAME.part/rows.csv     finished rows; a torn last line is dropped when a later call continues
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from noisyclean.base.files import atomic_path, fingerprint, read_json, write_json, write_text
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import FixedView
from noisyclean.data.batches import load_pixels
from noisyclean.data.delimited import write_records
from noisyclean.data.paths import Located
from noisyclean.data.stream import DecodedBlock, decode_in_blocks
from noisyclean.engine.inference import lightened, log_probabilities
from noisyclean.export.bundle import Bundle

__all__ = ["COLUMNS", "Predicted", "predict_to_csv"]

COLUMNS = ("image_path", "predicted_label", "probability", "second_label", "second_probability")


@dataclass(frozen=True)
class Predicted:
    """How a prediction ended."""

    num_done_before: int
    """Rows an interrupted call had left."""
    bad: list[tuple[str, str]]
    """Path and reason of each image that cannot be read."""


def predict_to_csv(
    bundle: Bundle, paths: Sequence[str], located: Located, out: Path, *, runtime: Runtime, reporter: Reporter
) -> Predicted:
    """Predict every file, in order, into a CSV; rows of images that cannot be read have empty cells.

    Args:
        bundle: The model.
        paths: Names for the first column.
        located: Where their files are.
        out: The table.
        runtime: Device, dtype, threads.
        reporter: Hears about the progress.
    """
    part = out.with_name(f".{out.name}.part")
    files = located.file_N.tolist()
    done = _continue(part, fingerprint([bundle.mark, list(paths), located.stamps]))
    net = bundle.net.to(runtime.device)
    statistics = torch.tensor(bundle.mean), torch.tensor(bundle.std)
    with (
        reporter.track("predict", total=len(files), done=len(done), unit="images") as meter,
        (part / "rows.csv").open("a", encoding="utf-8", newline="") as journal,
    ):
        for block in decode_in_blocks(files[len(done) :], bundle.mapping, threads=runtime.threads):
            pixels = load_pixels(block.images_BHWI, runtime.device, statistics=statistics)
            net = lightened(net, pixels)
            p_BC = log_probabilities(net, pixels, (FixedView(),), runtime).exp().cpu().numpy()
            first = len(done) + block.start
            rows = _rows(bundle, paths[first : first + len(p_BC)], block, p_BC)
            journal.write(write_records(rows))
            journal.flush()
            meter.advance(len(rows))
    return Predicted(len(done), _finish(part, out))


def _rows(bundle: Bundle, paths: Sequence[str], block: DecodedBlock, p_BC: np.ndarray) -> list[list[str]]:
    best_B2 = np.argsort(-p_BC, axis=1, kind="stable")[:, :2]
    rows: list[list[str]] = []
    for place, path in enumerate(paths):
        cells = [""] * 4
        if not block.failure_B[place]:
            first, second = best_B2[place]
            cells = [
                bundle.classes[first],
                _text(p_BC[place, first]),
                bundle.classes[second],
                _text(p_BC[place, second]),
            ]
        rows.append([path, *cells, block.failure_B[place]])
    return rows


def _continue(part: Path, mark: str) -> list[list[str]]:
    """Rows that an interrupted, identical call left; anything else that lies there is deleted."""
    head = part / "head.json"
    if not head.exists() or read_json(head) != mark:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write_json(head, mark)
        return []
    path = part / "rows.csv"
    content = path.read_bytes() if path.exists() else b""
    rows = _complete_rows(content.decode("utf-8", errors="ignore"))
    write_text(path, write_records(rows))
    return rows


def _complete_rows(text: str) -> list[list[str]]:
    """Rows before the first one that a crash tore."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if rows and (len(rows[-1]) != len(COLUMNS) + 1 or not text.endswith("\n")):
        rows.pop()
    return rows


def _finish(part: Path, out: Path) -> list[tuple[str, str]]:
    """Put the table in its place; returns what could not be read."""
    bad: list[tuple[str, str]] = []
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as target:
        target.write(write_records([list(COLUMNS)]))
        with (part / "rows.csv").open(encoding="utf-8", newline="") as source:
            for *row, reason in csv.reader(source):
                target.write(write_records([row]))
                if reason:
                    bad.append((row[0], reason))
    shutil.rmtree(part)
    return bad


def _text(probability: float) -> str:
    return np.format_float_positional(probability, trim="-", precision=6)
