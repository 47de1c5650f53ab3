"""``corrupt``: a label table with known errors put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyclean.base.files import refuse_place
from noisyclean.base.randomness import numpy_generator
from noisyclean.data.annotations import order_classes
from noisyclean.data.arrays import in_class_order, read_array, rows_by_id
from noisyclean.data.columns import choose_columns, clean_labels
from noisyclean.data.noise import (
    KINDS,
    asymmetric,
    estimated_flips,
    instance_dependent,
    mapped_flips,
    parse_class_map,
    symmetric,
)
from noisyclean.data.rewrite import write_relabelled
from noisyclean.data.tables import read_table
from noisyclean.errors import DataError, UsageError
from noisyclean.types import FloatArray, IntArray

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
    encoding: str | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Inject label noise; every row, column and their order stay, only labels change.

    Args:
        labels: The table.
        kind: ``symmetric`` (another class: the rate is the share of wrong labels), ``symmetric-including-true`` (any
            class, as DivideMix and C2D count), ``asymmetric`` (classes flip to the ones they map to, or as
            ``pred_probs`` confuse them; the rate holds in each class that flips, to the nearest image) or
            ``instance-dependent`` (likely confusions flip; needs ``pred_probs``).
        rate: In [0, 1].
        out: Where the table goes: of the same kind, separators, encoding and line ends; a Parquet or xlsx table also
            as CSV where ``out`` is named so.
        map: For ``asymmetric``, ``truck=automobile,cat=dog``; each class to the next by default.
        pred_probs: For ``instance-dependent`` and ``asymmetric``, ``pred_probs.npz`` of a run on the same table. For
            the latter, a class flips to each other one in proportion to its mean probability among the class's images.
        encoding: Of the table, where it is text.
        label_column: Name of the column of labels.
        image_column: Name of the column of paths.
        seed: Of the draw.
        overwrite: Replace ``out`` whatever it holds.

    Returns:
        ``num_rows``, ``num_changed`` and ``rate``, the share of labels that really changed.

    Raises:
        UsageError: An unknown kind, a rate outside [0, 1], ``map`` and ``pred_probs`` together or beside a kind that
            does not ask for them; or ``out`` is the input, is there already, or is named as another kind of table.
        DataError: The table or the probabilities cannot be used.
    """
    _check(kind, rate, map, pred_probs)
    _refuse_target(Path(out), Path(labels), overwrite=overwrite)
    table = read_table(Path(labels), encoding=encoding)
    columns = choose_columns(table, image=image_column, label=label_column)
    names = clean_labels(table.frame[columns.label])
    is_labelled = names != ""
    names, paths, row_N = names[is_labelled], table.frame[columns.image][is_labelled], table.row_N[is_labelled]
    classes = order_classes(names.tolist())
    index_of = {name: index for index, name in enumerate(classes)}
    label_N: IntArray = np.asarray([index_of[name] for name in names], dtype=np.int64)
    if len(classes) == 1:
        raise DataError(f"{labels}: has one class only, {classes[0]!r}", hint="Labels cannot flip without another.")
    p_NC = None if pred_probs is None else _read_probabilities(Path(pred_probs), paths, classes)
    noisy_N = _flip(label_N, classes, kind, rate, map, p_NC, generator=numpy_generator(seed, "corrupt", kind))
    changed_N = noisy_N != label_N
    column = list(table.frame.columns).index(columns.label)
    changes = {int(row_N[row]): {column: classes[noisy_N[row]]} for row in np.flatnonzero(changed_N)}
    write_relabelled(table, changes, Path(out))
    return {
        "schema_version": SCHEMA_VERSION,
        "num_rows": len(table.frame),
        "num_changed": int(changed_N.sum()),
        "rate": float(changed_N.mean()),
    }


def _check(kind: str, rate: float, map: str, pred_probs: str | Path | None) -> None:
    """Refuse options that cannot work."""
    if kind not in KINDS:
        raise UsageError(f"--kind {kind}: unknown", hint=f"Choose one of {', '.join(KINDS)}.")
    if not 0 <= rate <= 1:
        raise UsageError(f"--rate {rate}: must lie in [0, 1]")
    if map and pred_probs is not None:
        raise UsageError("--map and --pred-probs: both say which classes flip to which", hint="Leave one of them out.")
    if map and kind != "asymmetric":
        raise UsageError(f"--map: says nothing to --kind {kind}", hint="Leave it out, or add --kind asymmetric.")
    if kind.startswith("symmetric") and pred_probs is not None:
        raise UsageError(
            f"--pred-probs: say nothing to --kind {kind}", hint="Leave it out, or add --kind instance-dependent."
        )
    if kind == "instance-dependent" and pred_probs is None:
        raise UsageError(
            "--kind instance-dependent needs --pred-probs", hint="Give pred_probs.npz of an audit of this table."
        )


def _refuse_target(out: Path, labels: Path, *, overwrite: bool) -> None:
    refuse_place(out)
    if out.resolve() == labels.resolve():
        raise UsageError("--out is the input table", hint="Name another file; the clean labels are worth keeping.")
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out}: is there already", hint="Name another --out, or add --overwrite.")


def _flip(
    label_N: IntArray,
    classes: tuple[str, ...],
    kind: str,
    rate: float,
    map: str,
    p_NC: FloatArray | None,
    *,
    generator: np.random.Generator,
) -> IntArray:
    """The labels with noise of a kind."""
    if kind == "asymmetric":
        flips_CC = (
            mapped_flips(parse_class_map(map, classes), len(classes))
            if p_NC is None
            else estimated_flips(label_N, p_NC)
        )
        return asymmetric(label_N, flips_CC, rate, generator=generator)
    if kind == "instance-dependent":
        assert p_NC is not None, "checked"
        return instance_dependent(label_N, p_NC, rate, generator=generator)
    including_true = kind == "symmetric-including-true"
    return symmetric(label_N, len(classes), rate, including_true=including_true, generator=generator)


def _read_probabilities(path: Path, image_path_N: pd.Series, classes: tuple[str, ...]) -> FloatArray:
    given = in_class_order(read_array(path), classes)
    if given.id_M is None or given.columns is None:
        raise DataError(f"{path}: names no images or no classes", hint="Give pred_probs.npz of an audit of this table.")
    picked: FloatArray = given.values_MD[rows_by_id(given, image_path_N.to_numpy(dtype=object))]
    return picked
