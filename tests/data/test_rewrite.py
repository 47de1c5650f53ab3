from __future__ import annotations

from pathlib import Path

from noisyclean.data.columns import choose_columns
from noisyclean.data.rewrite import label_changes, write_relabelled
from noisyclean.data.tables import read_table


def test_who_did_not_vote_gets_no_vote(tmp_path: Path) -> None:
    path, out = tmp_path / "labels.csv", tmp_path / "cleaned.csv"
    path.write_text("path,label_1,label_2,label_3\na.png,cat,cat,\nb.png,,,\nc.png,dog, ,cat\n")
    table = read_table(path)
    changes = label_changes(table, choose_columns(table), dict.fromkeys(("a.png", "b.png", "c.png"), "dog"))
    write_relabelled(table, changes, out)
    assert out.read_text().splitlines()[1:] == ["a.png,dog,dog,", "b.png,dog,dog,dog", "c.png,dog, ,dog"]
