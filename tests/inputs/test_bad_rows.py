"""Rows that cannot be used: how many may be, and where they are listed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from noisyclean.base.files import read_json
from noisyclean.data.ingest import read_labels
from noisyclean.errors import DataError
from noisyclean.pipeline.preparing import enough_max_bad, refuse_too_many
from tests.inputs.conftest import Case, rows_of


def test_the_share_that_is_named_is_enough() -> None:
    for num in range(1, 201):
        for num_bad in range(num + 1):
            option = enough_max_bad(num_bad, num, -1.0)
            assert not enough_max_bad(num_bad, num, float(option.removeprefix("--max-bad ")))


def test_predict_names_a_share_that_is_enough(case: Case) -> None:
    table = case.table("path\n" + "".join(f"{'none' if row < 29 else ''}{row % 12:02d}.png\n" for row in range(100)))
    assert case.audit(case.table(rows_of(), "audited.csv")).exit_code == 0
    words = ("predict", case.root / "run" / "model", case.images, table, "--out", case.root / "p.csv")
    refused = case.cli(*words)
    assert refused.exit_code == 3
    named = re.search(r"--max-bad (\d\.\d+)", refused.stderr)
    assert named, refused.stderr
    assert case.cli(*words, "--max-bad", named[1]).exit_code == 0


def test_every_row_set_aside(case: Case) -> None:
    ingested = read_labels(case.images, case.table(rows_of()))
    aside = replace(ingested, set_aside_N=np.ones(12, dtype=bool), problem_N=np.full(12, "bad", dtype=object))
    with pytest.raises(DataError, match=r"all 12 are set aside; the first, of '00\.png': bad"):
        refuse_too_many(aside, aside.problem_N, 0.1)


def test_rows_that_no_fingerprint_sees_are_listed_anew(case: Case) -> None:
    (case.images / "twin.png").write_bytes((case.images / "00.png").read_bytes())
    rows = rows_of() + "twin.png,cat\n"
    table, run = case.table(rows), case.root / "run"
    assert case.audit(table).exit_code == 0
    assert not (run / "quarantine.csv").exists()
    header, _, body = rows.partition("\n")
    table.write_text(f"{header}\n,dog\n{body}", encoding="utf-8")
    done = case.audit(table)
    assert done.exit_code == 0, done.stderr
    assert "decode" not in done.stderr
    listed = pd.read_csv(run / "quarantine.csv", keep_default_na=False)
    assert listed[["row", "reason"]].to_numpy().tolist() == [[2, "no image path"]]
    assert read_json(run / "summary.json")["num_quarantined"] == 1
    flagged = pd.read_csv(run / "flagged.csv", keep_default_na=False).set_index("image_path")
    assert "(row 3)" in str(flagged.loc["twin.png", "reason"])
    table.write_text(rows, encoding="utf-8")
    assert "decode" not in case.audit(table).stderr
    assert not (run / "quarantine.csv").exists()


def test_no_cell_of_the_quarantine_is_run_by_a_spreadsheet(case: Case) -> None:
    table = case.table(rows_of() + "=cmd|x.png,dog\n")
    assert case.audit(table).exit_code == 0
    listed = pd.read_csv(case.root / "run" / "quarantine.csv", keep_default_na=False)
    assert listed["image_path"].tolist() == ["'=cmd|x.png"]
