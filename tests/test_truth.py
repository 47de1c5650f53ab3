"""A table of truth in the audited table's encoding or in its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from noisyclean.data.ingest import IngestOptions
from noisyclean.pipeline.evaluate import true_labels


@pytest.mark.parametrize(
    ("path", "label", "encoding"),
    [
        ("кошка.png", "cat", "cp1251"),
        ("0.png", "кошка", "cp1251"),
        ("кошка.png", "кошка", "utf-8"),
        ("кошка.png", "кошка", "utf-16"),
        ("café.png", "cat", "cp1252"),
    ],
)
def test_the_encoding_that_shows_or_else_the_runs(tmp_path: Path, path: str, label: str, encoding: str) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(f"path,label\n{path},{label}\n", encoding=encoding)
    like = IngestOptions(encoding="cp1251")
    assert true_labels(pd.Series([path]), truth, like).tolist() == [label]
