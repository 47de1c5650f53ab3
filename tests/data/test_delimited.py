from __future__ import annotations

import pytest

from noisyclean.data.delimited import Layout, find_layout


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [";", "|"])
def test_the_line_that_names_the_separator_is_read_with_any_line_end(delimiter: str, end: str) -> None:
    assert find_layout(end.join((f"sep={delimiter}", f"path{delimiter}label", ""))) == Layout(delimiter, 1)


def test_a_column_may_be_called_like_that_line() -> None:
    assert find_layout("sep=;x,label\na,b\n") == Layout(",")
