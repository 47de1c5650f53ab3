"""Label Studio: the flagged images as tasks to import, and what it exports read back as verdicts.

tasks.json    one task for each flagged image, worst first, the suggestion as its prediction
config.xml    the labelling interface: a class, or a reason for not giving one, and a comment
README.txt    how to import both, and how to come back

The controls are named like the columns of a verdict table. The class that an annotator chooses is the right label: the
image keeps it or gets it. A skipped task is ``unsure``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from noisyclean import __version__
from noisyclean.base.files import write_json, write_text
from noisyclean.base.log import Reporter
from noisyclean.base.shell import shell_line
from noisyclean.data.shielding import neutralise
from noisyclean.data.tables import TextTable
from noisyclean.errors import DataError
from noisyclean.export.subset import VERDICT_HELP, FlaggedImage, Subset

__all__ = [
    "is_labelstudio_table",
    "labelstudio_files",
    "no_verdicts",
    "read_labelstudio",
    "regroup_labelstudio",
    "write_labelstudio",
]

LABEL, VERDICT, COMMENT = "reviewed_label", "verdict", "comment"
COLUMNS = ("image_path", "given_label", VERDICT, LABEL, COMMENT)
SET_ASIDE = ("unsure", "bad")
OWN_COLUMNS = frozenset({"annotation_id", "annotator", "lead_time"})
"""Columns of every flat table that Label Studio exports."""
MOST_BUTTONS = 20
"""Classes shown as buttons; more are a list to choose from."""
HINT = 'Export it again as "JSON", "JSON-MIN" or "CSV" from a project made of the tasks.json that export wrote.'
README = """Review in Label Studio
======================

1. Start Label Studio where it can see the images, and let it serve them:
     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={quoted_root}
     label-studio start
2. Make a project. Settings > Labeling Interface > Code: paste config.xml.
3. Settings > Cloud Storage > Add Source Storage > Local files, with the path
     {images}
   Save it; do not synchronise it (that would add every image as a task).
4. Import tasks.json. Sort the tasks by p_mislabeled to begin with the worst.
5. Choose the right class, or unsure or bad, and submit. Skipping means unsure.
6. Export as JSON, then
     {review}
"""


def labelstudio_files(out: Path) -> list[Path]:
    """What :func:`write_labelstudio` writes into ``out``."""
    return [out / name for name in ("tasks.json", "config.xml", "README.txt")]


def write_labelstudio(subset: Subset, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write the tasks, the interface and the way to use them into the folder ``out``.

    Args:
        subset: The flagged images.
        out: The folder.
        reporter: Hears how images are found.
    """
    tasks, config, readme = labelstudio_files(out)
    root = subset.images.resolve().parent
    write_json(tasks, [_task(image, root) for image in subset.flagged])
    write_text(config, _interface(subset.classes))
    review = shell_line(["noisyclean", "review", subset.run, "EXPORT.json", "--out", "labels.cleaned.csv"])
    images = subset.images.resolve()
    write_text(readme, README.format(quoted_root=shell_line([root]), images=images, review=review))
    reporter.say(f"Label Studio must serve local files below {root}; {readme} says how")
    return {"num_images": len(subset.flagged)}


def _task(image: FlaggedImage, root: Path) -> dict[str, Any]:
    below = os.path.relpath(os.path.realpath(image.file), root).replace(os.sep, "/") if image.file else ""
    headline = f"given {image.given_label}, suggested {image.suggested_label} ({image.p_suggested:.0%}). {image.reason}"
    suggestion = {"from_name": LABEL, "to_name": "image", "type": "choices"}
    return {
        "data": {
            "image": f"/data/local-files/?d={quote(below)}",
            "image_path": image.image_path,
            "rank": image.rank,
            "given_label": image.given_label,
            "suggested_label": image.suggested_label,
            "p_mislabeled": image.p_mislabeled,
            "headline": headline,
        },
        "predictions": [
            {
                "model_version": f"noisyclean-{__version__}",
                "score": image.p_suggested,
                "result": [{"id": "suggestion", **suggestion, "value": {"choices": [image.suggested_label]}}],
            }
        ],
    }


def _interface(classes: tuple[str, ...]) -> str:
    layout = "inline" if len(classes) <= MOST_BUTTONS else "select"
    shown = f'showInline="true" layout="{layout}"'
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in classes)
    aside = "\n".join(
        f"    <Choice value={quoteattr(word)} hint={quoteattr(VERDICT_HELP[word])}/>" for word in SET_ASIDE
    )
    return f"""<View>
  <Header value="$headline"/>
  <Image name="image" value="$image" zoom="true"/>
  <Choices name="{LABEL}" toName="image" choice="single" {shown}>
{choices}
  </Choices>
  <Header value="No label? It counts before the class above."/>
  <Choices name="{VERDICT}" toName="image" choice="single" showInline="true">
{aside}
  </Choices>
  <TextArea name="{COMMENT}" toName="image" rows="1" maxSubmissions="1" placeholder="comment"/>
</View>
"""


def is_labelstudio_table(table: TextTable) -> bool:
    """Whether a table is Label Studio's CSV or TSV export."""
    return {*table.frame.columns} >= OWN_COLUMNS


def regroup_labelstudio(table: TextTable) -> dict[str, TextTable]:
    """Label Studio's CSV or TSV export as one verdict table for each annotator."""
    names = list(map(str, table.frame.columns))
    cells = zip(*(table.frame[name] for name in names), strict=True)
    records = [dict(zip(names, row, strict=True)) for row in cells]
    numbers = table.row_N.tolist()
    return _by_annotator([_flat_row(*item) for item in zip(numbers, records, strict=True)], table.path)


def read_labelstudio(path: Path) -> dict[str, TextTable]:
    """Label Studio's JSON or JSON-MIN export as one verdict table for each annotator.

    Raises:
        DataError: The file is none, or of tasks that are not ours.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}", hint=HINT) from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path}: is no list of tasks", hint=HINT)
    rows: list[tuple[int, str, dict[str, str]]] = []
    for number, task in enumerate(tasks, start=1):
        rows += _task_rows(number, task) if "data" in task else [_flat_row(number, task)]
        if rows and not rows[-1][2]["image_path"]:
            raise DataError(f"{path}: task {number} has no image_path", hint=HINT)
    return _by_annotator(rows, path)


def _task_rows(number: int, task: Mapping[str, Any]) -> list[tuple[int, str, dict[str, str]]]:
    """Number, annotator and cells of every annotation of a task, the latest one last."""
    rows = []
    for annotation in sorted(task.get("annotations") or [], key=lambda item: str(item.get("updated_at", ""))):
        cells = {name: str(task["data"].get(name, "")) for name in COLUMNS[:2]} | dict.fromkeys(COLUMNS[2:], "")
        for region in annotation.get("result") or []:
            if region.get("type") == "choices":
                name = VERDICT if region.get("from_name") == VERDICT else LABEL
            elif region.get("type") == "textarea":
                name = COMMENT
            else:
                continue
            cells[name] = _plain(region.get("value", {}))
        if annotation.get("was_cancelled"):
            cells[VERDICT] = "unsure"
        who = annotation.get("completed_by", "")
        rows.append((number, str(who.get("email") or who.get("id", "")) if isinstance(who, dict) else str(who), cells))
    return rows


def _flat_row(number: int, record: Mapping[str, Any]) -> tuple[int, str, dict[str, str]]:
    cells = {name: _plain(record.get(name)) if name in COLUMNS[2:] else str(record.get(name, "")) for name in COLUMNS}
    return number, _plain(record.get("annotator")), cells


def _plain(value: object) -> str:
    """What one control holds, in whichever of its forms Label Studio wrote it."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return _plain(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, Mapping):
        value = value.get("choices", value.get("text", ""))
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def _by_annotator(rows: Iterable[tuple[int, str, dict[str, str]]], path: Path) -> dict[str, TextTable]:
    """Reviewers are named by Label Studio, not by the file: each export has another name."""
    grouped: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, annotator, cells in rows:
        grouped.setdefault(f"labelstudio/{annotator}" if annotator else "labelstudio", []).append((number, cells))
    return {reviewer: _verdict_table(items, path) for reviewer, items in grouped.items()}


def no_verdicts(path: Path) -> TextTable:
    """The table of an export in which nothing is annotated yet."""
    return _verdict_table([], path)


def _verdict_table(items: list[tuple[int, dict[str, str]]], path: Path) -> TextTable:
    frame = pd.DataFrame([cells for _, cells in items], columns=list(COLUMNS), dtype=object)
    return TextTable(
        frame=frame.map(neutralise), path=path, row_N=np.asarray([number for number, _ in items], dtype=np.int64)
    )
