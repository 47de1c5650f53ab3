"""Groups of images that belong together, such as those of one patient or one burst, by the names they were given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from noisyclean.errors import DataError
from noisyclean.types import IntArray

__all__ = ["number_groups", "refuse_one_group"]


def number_groups(names: pd.Series) -> IntArray:
    """A number for each group, shape (N,), from 0 on; an image whose name is missing or blank is a group of its own."""
    is_blank = names.isna() | (names.astype(str).str.strip() == "")
    number_N: IntArray = pd.factorize(names.mask(is_blank))[0].astype(np.int64)
    alone_N = number_N < 0
    number_N[alone_N] = number_N.max(initial=-1) + 1 + np.arange(int(alone_N.sum()))
    return number_N


def refuse_one_group(number_N: IntArray, source: str, *, hint: str) -> None:
    """Refuse groups of which there is one alone.

    Raises:
        DataError: All of several images are in it.
    """
    if len(number_N) > 1 and not number_N.any():
        raise DataError(f"{source}: all {len(number_N):,} images are one group, so none may vote on another", hint=hint)
