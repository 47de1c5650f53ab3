"""Groups by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.data.groups import number_groups

NAMES = st.lists(st.sampled_from(["a", "b", "", " ", None, float("nan")]), max_size=12)


@given(names=NAMES)
def test_rows_are_together_where_they_have_one_name(names: list[object]) -> None:
    number_N = number_groups(pd.Series(names, dtype=object))
    for row, name in enumerate(names):
        for other, another in enumerate(names):
            same = row == other or (name == another and isinstance(name, str) and bool(name.strip()))
            assert (number_N[row] == number_N[other]) == same
    assert set(number_N) == set(range(len(set(number_N))))
    assert number_N.dtype == np.int64
