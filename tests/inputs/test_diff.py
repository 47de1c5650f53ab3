"""What changed between two audits: each kind of change on a table made by hand, and two real rounds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from noisyclean.errors import UsageError
from noisyclean.pipeline.diff import change_rows, compare_scores, diff
from noisyclean.report.verdicts import Decision
from tests.conftest import Run, Shapes, write_table
from tests.inputs.conftest import Case, rows_of

SCORES = ["image_path", "given_label", "suggested_label", "p_mislabeled", "flagged"]


def scores(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=SCORES, dtype=object)


def test_each_kind_of_change_is_one_row() -> None:
    before = scores(
        ("same", "cat", "dog", "0.1", "false"),
        ("relabelled", "cat", "dog", "0.9", "true"),
        ("new flag", "cat", "dog", "0.2", "false"),
        ("other advice", "cat", "dog", "0.9", "true"),
        ("nobody asks", "cat", "dog", "0.1", "false"),
        ("bad", "cat", "dog", "0.8", "true"),
        ("gone", "cat", "dog", "0.8", "false"),
    )
    after = scores(
        ("relabelled", "dog", "dog", "0", "false"),
        ("new flag", "cat", "dog", "0.7", "true"),
        ("same", "cat", "dog", "0.3", "false"),
        ("other advice", "cat", "cow", "0.9", "true"),
        ("nobody asks", "cat", "cow", "0.1", "false"),
        ("bad", "cat", "", "", ""),
        ("came", "dog", "cat", "0.8", "true"),
    )
    rows = change_rows(compare_scores(before, after), {"relabelled": Decision("relabelled", "dog")})
    assert [tuple(row) for row in rows.itertuples(index=False)] == [
        ("relabelled", "label", "cat", "dog", "relabelled"),
        ("relabelled", "flagged", "true", "false", "relabelled"),
        ("new flag", "flagged", "false", "true", ""),
        ("other advice", "suggestion", "dog", "cow", ""),
        ("bad", "flagged", "true", "", ""),
        ("bad", "use", "used", "quarantined", ""),
        ("came", "flagged", "", "true", ""),
        ("came", "use", "absent", "used", ""),
        ("gone", "use", "used", "absent", ""),
    ]


def test_a_run_does_not_differ_from_itself(cli: Run, audited: tuple[Shapes, Path], tmp_path: Path) -> None:
    _, run = audited
    done = cli("diff", run, run, "--out", tmp_path / "changes.csv", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["schema_version"] == 1
    counts = {name: value for name, value in done.json.items() if name.startswith("num_") and isinstance(value, int)}
    assert len(counts) == 5
    assert set(counts.values()) == {0}
    assert done.json["noise_rate"]["before"] == done.json["noise_rate"]["after"]
    assert (tmp_path / "changes.csv").read_text(encoding="utf-8-sig") == "image_path,change,before,after,review\n"
    assert done.stderr.splitlines()[-1].startswith("next: noisyclean review ")


def test_two_rounds_of_a_dozen_pictures(case: Case) -> None:
    assert case.audit(case.table(rows_of())).exit_code == 0
    first = case.root / "run"
    verdicts = write_table(
        case.root / "ann.csv",
        [("00.png", "relabel", "cat"), ("01.png", "bad", "")],
        ("path", "verdict", "reviewed_label"),
    )
    cleaned = case.root / "cleaned.csv"
    assert case.cli("review", first, verdicts, "--out", cleaned).exit_code == 0
    again = ("audit", case.images, cleaned, "--reuse", first, "--out", case.root / "run-2", "--max-bad", "0.2")
    assert case.cli(*again).exit_code == 0
    done = case.cli("diff", first, case.root / "run-2", "--out", case.root / "changes.csv", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["num_labels_changed"] == done.json["num_labels_changed_as_reviewed"] == 1
    assert done.json["labels_moved"] == [{"from": "dog", "to": "cat", "num_images": 1}]
    assert done.json["num_quarantined"] == {"before": 0, "after": 1}
    assert done.json["verdicts"] == {"kept": 0, "relabelled": 1, "unsure": 0, "bad": 1, "conflict": 0}
    table = pd.read_csv(case.root / "changes.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    rows = [tuple(row) for row in table.itertuples(index=False)]
    assert ("00.png", "label", "dog", "cat", "relabelled") in rows
    assert ("01.png", "use", "used", "quarantined", "bad") in rows
    assert case.cli("diff", first, case.root / "run-2", "--out", case.root / "changes.csv").exit_code == 0


def test_what_cannot_be_compared_is_refused(cli: Run, audited: tuple[Shapes, Path], tmp_path: Path) -> None:
    shapes, run = audited
    assert cli("diff", run, tmp_path).exit_code == 2
    (tmp_path / "thesis.csv").write_text("mine")
    refused = cli("diff", run, run, "--out", tmp_path / "thesis.csv")
    assert refused.exit_code == 2
    assert "holds no changes" in refused.stderr
    assert (tmp_path / "thesis.csv").read_text() == "mine"
    assert cli("diff", run, run, "--out", shapes.images / "changes.csv").exit_code == 2


def test_runs_without_a_common_image_are_refused(audited: tuple[Shapes, Path], tmp_path: Path) -> None:
    _, run = audited
    other = tmp_path / "other"
    shutil.copytree(run, other)
    text = (other / "scores.csv").read_text(encoding="utf-8")
    (other / "scores.csv").write_text(text.replace(".png", ".jpg"), encoding="utf-8")
    with pytest.raises(UsageError, match="have no image path in common"):
        diff(run, other)
