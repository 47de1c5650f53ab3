"""Where verdicts come from: each kind of file that people work in, as verdict tables by reviewer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from noisyclean.data.tables import TextTable, read_table
from noisyclean.export.labelstudio import is_labelstudio_table, no_verdicts, read_labelstudio, regroup_labelstudio
from noisyclean.export.sorting import read_sorting
from noisyclean.pipeline.finished import FinishedRun
from noisyclean.report.verdicts import Suggestion, Verdict, read_verdicts

__all__ = ["read_all_verdicts"]


def read_all_verdicts(
    sources: list[Path], finished: FinishedRun, *, allow_new_labels: bool
) -> dict[str, list[Verdict]]:
    """Verdicts by reviewer.

    A file's name is its reviewer's, with its folder's where two are alike; Label Studio names reviewers itself.

    Args:
        sources: Tables, exports of Label Studio, folders that ``export --to folders`` wrote.
        finished: The run they are about.
        allow_new_labels: Whether a reviewer may name a class that is not there yet.

    Raises:
        DataError: One cannot be understood.
    """
    scores = finished.scores
    columns = (scores[name] for name in ("image_path", "given_label", "suggested_label"))
    images = {path: Suggestion(given, suggested) for path, given, suggested in zip(*columns, strict=True)}
    stems = Counter(source.stem for source in sources)
    merged: dict[str, list[Verdict]] = {}
    for source in sources:
        name = source.stem if stems[source.stem] == 1 else f"{source.resolve().parent.name}/{source.stem}"
        for reviewer, table in _tables(source, name).items():
            merged.setdefault(reviewer, []).extend(
                read_verdicts(
                    table, reviewer, images=images, classes=finished.classes, allow_new_labels=allow_new_labels
                )
            )
    return merged


def _tables(source: Path, name: str) -> dict[str, TextTable]:
    """The verdict tables in a file or folder, by reviewer."""
    if source.is_dir():
        return {name: read_sorting(source)}
    if source.suffix.lower() == ".json":
        return read_labelstudio(source) or {name: no_verdicts(source)}
    table = read_table(source)
    return regroup_labelstudio(table) if is_labelstudio_table(table) else {name: table}
