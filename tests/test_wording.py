"""Lists of names in messages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from noisyclean.base.wording import quoted, shortened


@pytest.mark.parametrize("form", [list, tuple, np.asarray, pd.Index])
def test_what_is_left_out_is_counted(form: type) -> None:
    names = form(["a", "b", "c", "d"])
    assert shortened(names, 5) == shortened(names, 4) == "a, b, c, d"
    assert shortened(names, 3) == "a, b, c and 1 more"
    assert quoted(names) == "'a', 'b', 'c' and 1 more"


def test_thousands_are_legible_and_nothing_is_nothing() -> None:
    assert shortened(range(2_002), 2) == "0, 1 and 2,000 more"
    assert shortened([]) == quoted([]) == ""
