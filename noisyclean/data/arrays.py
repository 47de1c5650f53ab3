"""Arrays of the user's own, one row for each image: ``.npz`` or Parquet with ids, or ``.npy`` in the table's order.

What an audit writes as ``embeddings.npz`` and ``pred_probs.npz`` is read as it is.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyclean.base.wording import quoted
from noisyclean.data.columns import IMAGE_NAMES
from noisyclean.errors import DataError, EnvironmentProblem
from noisyclean.types import FloatArray, IntArray, StrArray

__all__ = ["GivenArray", "in_class_order", "read_array", "rows_by_id"]

ID_NAMES = (*IMAGE_NAMES, "id", "ids")
FORMS = "Give .npz or Parquet with a column image_path, or .npy in the order of LABELS' rows."


@dataclass(frozen=True, kw_only=True)
class GivenArray:
    """An array as a file holds it."""

    path: Path
    values_MD: FloatArray
    id_M: StrArray | None = None
    """Name of each row's image; None where rows are in the table's order."""
    columns: tuple[str, ...] | None = None
    """Names of the columns, where the file has them."""


def read_array(path: Path) -> GivenArray:
    """Read a file of one row for each image.

    Raises:
        DataError: There is no such file, it cannot be read without running code, or what it holds is not clear.
        EnvironmentProblem: Parquet needs an extra.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint=FORMS)
    with path.open("rb") as file:
        start = file.read(6)
    try:
        if start.startswith(b"\x93NUMPY"):
            return GivenArray(path=path, values_MD=np.load(path, allow_pickle=False))
        if start.startswith(b"PK"):
            return _from_npz(path)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint=f"Save arrays of numbers and text. {FORMS}") from error
    if start.startswith(b"PAR1"):
        return _from_parquet(path)
    raise DataError(f"{path}: is neither .npz, nor .npy, nor Parquet", hint=FORMS)


def rows_by_id(given: GivenArray, image_path_N: StrArray) -> IntArray:
    """The row of each image.

    Args:
        given: With ids.
        image_path_N: The images, by the paths of the table.

    Raises:
        DataError: An id occurs twice, or an image is missing.
    """
    assert given.id_M is not None
    index = pd.Index(given.id_M)
    if not index.is_unique:
        raise DataError(
            f"{given.path}: {quoted(index[index.duplicated()])} occurs twice", hint="One row for each image."
        )
    row_N: IntArray = index.get_indexer(pd.Index(image_path_N)).astype(np.int64)
    missing = image_path_N[row_N < 0]
    if len(missing):
        raise DataError(
            f"{given.path}: has no row for {len(missing):,} of {len(image_path_N):,} images: {quoted(missing)}",
            hint=f"Its ids must be the paths as LABELS has them; its first is {given.id_M[0]!r}.",
        )
    return row_N


def in_class_order(given: GivenArray, classes: tuple[str, ...]) -> GivenArray:
    """Columns put in the order of the classes, where the file names them.

    Raises:
        DataError: It names other classes.
    """
    if given.columns is None or given.columns == classes:
        return given
    if set(given.columns) != set(classes) or len(given.columns) != len(classes):
        odd = sorted(set(given.columns) ^ set(classes))
        raise DataError(
            f"{given.path}: its columns are not the {len(classes)} classes of the labels: {quoted(odd)}",
            hint="Columns that are named must be named by the classes.",
        )
    order = [given.columns.index(name) for name in classes]
    return replace(given, values_MD=given.values_MD[:, order], columns=classes)


def _from_npz(path: Path) -> GivenArray:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    ids = next((name for name in ID_NAMES if name in arrays and arrays[name].ndim == 1), None)
    matrices = [name for name, array in arrays.items() if array.ndim == 2 and np.issubdtype(array.dtype, np.number)]
    if ids is None or len(matrices) != 1:
        raise DataError(
            f"{path}: holds {', '.join(arrays) or 'nothing'}",
            hint=f"It needs one array of ids, such as image_path, and one matrix of numbers. {FORMS}",
        )
    values_MD = arrays[matrices[0]]
    if len(values_MD) != len(arrays[ids]):
        raise DataError(f"{path}: has {len(values_MD):,} rows for {len(arrays[ids]):,} ids", hint="Write it again.")
    return GivenArray(
        path=path,
        values_MD=values_MD,
        id_M=_text(arrays[ids]),
        columns=_names_of(arrays.get("classes"), values_MD),
    )


def _names_of(classes: NDArray[np.generic] | None, values_MD: FloatArray) -> tuple[str, ...] | None:
    """Class names are names of the columns where there are as many."""
    is_named = classes is not None and classes.shape == (values_MD.shape[1],)
    return tuple(_text(classes)) if is_named and classes is not None else None


def _from_parquet(path: Path) -> GivenArray:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise EnvironmentProblem(
            f"{path}: reading Parquet needs an extra that is not installed",
            hint="Install it: pip install 'noisyclean[parquet]'. Or save .npz.",
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is a damaged Parquet file: {error}", hint="Write it again.") from error
    frame = frame.rename(columns=str)
    ids = next((name for name in ID_NAMES if name in frame.columns), None)
    if ids is None or frame.shape[1] < 2:
        raise DataError(f"{path}: has the columns {quoted(list(frame.columns))}", hint=f"It needs ids. {FORMS}")
    rest = frame.drop(columns=ids)
    if rest.shape[1] == 1 and rest.iloc[:, 0].dtype == object:
        return GivenArray(path=path, values_MD=_stack(rest.iloc[:, 0], path), id_M=_text(frame[ids].to_numpy()))
    words = [name for name in rest.columns if not pd.api.types.is_numeric_dtype(rest[name])]
    if words:
        raise DataError(f"{path}: the column {words[0]!r} holds no numbers", hint="Keep ids and numbers only.")
    return GivenArray(
        path=path, values_MD=rest.to_numpy(), id_M=_text(frame[ids].to_numpy()), columns=tuple(rest.columns)
    )


def _stack(lists: pd.Series, path: Path) -> FloatArray:
    """One column of vectors as a matrix."""
    try:
        return np.stack([np.asarray(values, dtype=np.float32) for values in lists])
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: the column {lists.name!r} holds no vectors of one length: {error}") from error


def _text(names: NDArray[np.generic]) -> StrArray:
    return np.asarray([str(name) for name in names], dtype=object)
