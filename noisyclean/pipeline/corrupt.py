"""``corrupt``: a label table with known errors put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noisyclean.base.files import write_text
from noisyclean.base.randomness import numpy_generator
from noisyclean.data.columns import choose_columns, clean_labels
from noisyclean.data.ingest import order_classes
from noisyclean.data.noise import KINDS, asymmetric, instance_dependent, parse_class_map, symmetric
from noisyclean.data.tables import read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.types import FloatArray, IntArray, StrArray

__all__ = ["corrupt"]

SCHEMA_VERSION = 1


def corrupt(
    labels: str | Path,
    *,
    kind: str = "symmetric",
    rate: float,
    out: str | Path,
    map: str = "",
    pred_probs: str | Path | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Inject label noise; every row, column and their order stay, only labels change.

    Args:
        labels: The table.
        kind: ``symmetric`` (another class: the rate is the share of wrong labels), ``symmetric-including-true`` (any
            class, as DivideMix and C2D count), ``asymmetric`` (mapped classes flip) or ``instance-dependent`` (likely
            confusions flip; needs ``pred_probs``).
        rate: In [0, 1].
        out: Where the table goes, as UTF-8 with the same delimiter.
        map: For ``asymmetric``, ``truck=automobile,cat=dog``; each class to the next by default.
        pred_probs: For ``instance-dependent``, ``pred_probs.npz`` of a run on the same table.
        label_column: Name of the column of labels.
        image_column: Name of the column of paths.
        seed: Of the draw.

    Returns:
        ``num_rows``, ``num_changed`` and ``rate``, the share of labels that really changed.

    Raises:
        UsageError: An unknown kind, a rate outside [0, 1], or ``out`` is the input.
        DataError: The table or the probabilities cannot be used.
    """
    if kind not in KINDS:
        raise UsageError(f"--kind {kind}: unknown", hint=f"Choose one of {', '.join(KINDS)}.")
    if not 0 <= rate <= 1:
        raise UsageError(f"--rate {rate}: must lie in [0, 1]")
    if Path(out).resolve() == Path(labels).resolve():
        raise UsageError("--out is the input table", hint="Name another file; the clean labels are worth keeping.")
    table = read_table(Path(labels))
    columns = choose_columns(table, image=image_column, label=label_column)
    names = clean_labels(table.frame[columns.label])
    classes = order_classes(names.tolist())
    index_of = {name: index for index, name in enumerate(classes)}
    label_N: IntArray = np.asarray([index_of[name] for name in names], dtype=np.int64)
    generator = numpy_generator(seed, "corrupt", kind)
    if kind == "asymmetric":
        noisy_N = asymmetric(label_N, parse_class_map(map, classes), rate, generator=generator)
    elif kind == "instance-dependent":
        p_NC = _read_probabilities(pred_probs, table.frame[columns.image].to_numpy(dtype=object), classes)
        noisy_N = instance_dependent(label_N, p_NC, rate, generator=generator)
    else:
        noisy_N = symmetric(
            label_N, len(classes), rate, including_true=kind == "symmetric-including-true", generator=generator
        )
    frame = table.frame.copy()
    changed_N = noisy_N != label_N
    frame.loc[changed_N, columns.label] = np.asarray(classes, dtype=object)[noisy_N[changed_N]]
    write_text(Path(out), frame.to_csv(index=False, sep=table.delimiter, lineterminator="\n"))
    return {
        "schema_version": SCHEMA_VERSION,
        "num_rows": len(frame),
        "num_changed": int(changed_N.sum()),
        "rate": float(changed_N.mean()),
    }


def _read_probabilities(path: str | Path | None, image_path_N: StrArray, classes: tuple[str, ...]) -> FloatArray:
    if path is None:
        raise UsageError(
            "--kind instance-dependent needs --pred-probs", hint="Give pred_probs.npz of an audit of this table."
        )
    with np.load(path, allow_pickle=False) as arrays:
        row_of = {name: row for row, name in enumerate(arrays["image_path"].tolist())}
        stored_classes, p_NC = tuple(arrays["classes"].tolist()), arrays["p_NC"]
    missing = [name for name in image_path_N if name not in row_of]
    if missing or stored_classes != classes:
        raise DataError(
            f"{path}: belongs to another table ({missing[0]!r} is not in it)"
            if missing
            else f"{path}: has other classes than the table"
        )
    rows: IntArray = np.asarray([row_of[name] for name in image_path_N], dtype=np.int64)
    picked: FloatArray = p_NC[rows]
    return picked
