from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from noisyclean.data.columns import choose_columns, first_match
from noisyclean.data.tables import read_table


@pytest.mark.parametrize(
    ("asked", "found"), [("label", "label"), ("Label", "Label"), ("LABEL", "label"), ("PATH", " Path")]
)
def test_an_exact_name_goes_before_one_in_other_case(asked: str, found: str) -> None:
    frame = pd.DataFrame(columns=["Label", "label", " Path"])
    assert first_match(frame, (asked,)) == found


def test_the_column_that_was_named_is_taken(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,Label,label\na.png,9,cat\n")
    table = read_table(tmp_path / "labels.csv")
    assert choose_columns(table, label="label").label == "label"
    assert choose_columns(table, label="Label").label == "Label"
