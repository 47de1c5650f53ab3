"""``predict``: a model folder applied to a folder of images or to the images of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from noisyclean.base.files import exclusive_lock, refuse_place, write_text
from noisyclean.base.log import Reporter, Silent
from noisyclean.base.runtime import choose_runtime, exactly, memory_kept
from noisyclean.base.shortage import shortages_told
from noisyclean.data.columns import image_column_of
from noisyclean.data.folders import list_images
from noisyclean.data.paths import Located, locate
from noisyclean.data.tables import read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.export.bundle import read_bundle
from noisyclean.export.predict import COLUMNS, predict_to_csv
from noisyclean.pipeline.preparing import enough_max_bad
from noisyclean.pipeline.rundir import refuse_inside
from noisyclean.report.flags import to_csv

__all__ = ["predict"]

SCHEMA_VERSION = 1
HINT = "IMAGES is a folder of images or a table of paths."


def predict(
    model: str | Path,
    images: str | Path,
    labels: str | Path | None = None,
    *,
    out: str | Path,
    device: str = "auto",
    encoding: str | None = None,
    image_column: str | None = None,
    strip_prefix: str | None = None,
    max_bad: float = 0.1,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Predict the class of images.

    An interrupted call continues where it stopped. Images that cannot be read keep their row, with empty cells, and are
    listed with the reason in a table beside ``out``.

    Args:
        model: A model folder, or a run that holds one.
        images: A folder, searched through all its subfolders, or a table of paths.
        labels: A table that lists the images in the folder; its label column is not needed.
        out: The predictions: image_path, predicted_label, probability, second_label, second_probability.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        encoding: Of the table.
        image_column: Name of the column of paths.
        strip_prefix: Taken off every path of the table before it is looked for.
        max_bad: Largest share of unreadable images to go on with.
        reporter: Hears about messages and progress.

    Returns:
        ``num_images``, ``num_bad`` and how many images got each class.

    Raises:
        UsageError: ``out`` would replace something else, or lies in the folder.
        DataError: The model, the table or the images cannot be used.
        EnvironmentProblem: The machine is short of something.
    """
    reporter = reporter or Silent()
    bundle = read_bundle(Path(model))
    folder, table, target = Path(images), Path(labels) if labels else None, Path(out)
    _refuse_target(target, folder)
    if folder.is_file():
        folder, table = folder.parent, folder
    paths, located = _list(folder, table, encoding, image_column, strip_prefix, reporter)
    runtime = choose_runtime(device, dtype="float32")  # the logits that timm gives, on whatever machine
    lock = target.with_name(f".{target.name}.lock")
    with exclusive_lock(lock), exactly(runtime), memory_kept(), shortages_told(f"--out {out}"):
        found = predict_to_csv(bundle, paths, located, target, runtime=runtime, reporter=reporter)
    lock.unlink(missing_ok=True)
    if found.num_done_before:
        reporter.say(f"{found.num_done_before:,} images were done before")
    listed = _list_bad(target, found.bad)
    option = enough_max_bad(len(found.bad), len(paths), max_bad)
    if option:
        path, reason = found.bad[0]
        raise DataError(
            f"{len(found.bad):,} of {len(paths):,} images cannot be read; the first is {path!r}: {reason}",
            hint=f"{listed} lists them; {option} accepts it.",
        )
    counts = pd.read_csv(target, dtype=str, keep_default_na=False)["predicted_label"].value_counts()
    return {
        "schema_version": SCHEMA_VERSION,
        "num_images": len(paths),
        "num_bad": len(found.bad),
        "classes": [{"name": name, "num_images": int(counts.get(name, 0))} for name in bundle.classes],
        "out": str(out),
        "bad": str(listed) if found.bad else None,
    }


def _refuse_target(out: Path, images: Path) -> None:
    """Predictions replace predictions and nothing else."""
    refuse_place(out)
    if images.is_dir():
        refuse_inside(images, out)
    if out.exists() and not out.read_bytes().startswith(",".join(COLUMNS).encode()):
        raise UsageError(f"--out {out}: is there already and holds no predictions", hint="Name another file.")


def _list(
    folder: Path, table: Path | None, encoding: str | None, column: str | None, prefix: str | None, reporter: Reporter
) -> tuple[list[str], Located]:
    """Names of the images, and where they are."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder or table", hint=HINT)
    if table is None:
        paths = list(list_images(folder))
        if not paths:
            raise DataError(f"{folder}: has no images", hint=HINT)
        return paths, locate(paths, folder, folder, row_N=None)
    text = read_table(table, encoding=encoding)
    name = image_column_of(text, column)
    reporter.say(f"{text.description}; images from column {name!r}")
    paths = [path for path in text.frame[name] if path.strip()]
    row_N = text.row_N[[bool(path.strip()) for path in text.frame[name]]]
    if not paths:
        raise DataError(f"{table}: column {name!r} names no image", hint="Name the column of paths: --image-column")
    return paths, locate(paths, folder, table.parent, row_N=row_N, prefix=prefix, table=table)


def _list_bad(out: Path, bad: list[tuple[str, str]]) -> Path:
    path = out.with_name(f"{out.stem}.quarantine.csv")
    if bad:
        write_text(path, to_csv(pd.DataFrame(bad, columns=["image_path", "reason"])), encoding="utf-8-sig")
    else:
        path.unlink(missing_ok=True)
    return path
