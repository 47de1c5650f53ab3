"""Verdicts on images that were moved or renamed since, as ``review --to-folders`` does: known by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from noisyclean.data.decode import UnreadableImage, read_content
from noisyclean.data.ingest import Ingested
from noisyclean.pipeline.finished import FinishedRun
from noisyclean.pipeline.reuse import contents_of
from noisyclean.report.verdicts import Verdict

__all__ = ["follow_moves"]


def follow_moves(verdicts: Sequence[Verdict], finished: FinishedRun, ingested: Ingested) -> list[Verdict]:
    """The verdicts, each with the path that its image has now.

    Files are read only where a verdict's path is gone, and only those whose paths the earlier run did not have.

    Args:
        verdicts: On images of the earlier run.
        finished: The earlier run.
        ingested: The images as they are now.
    """
    paths, files = ingested.table.image_path_N, ingested.table.file_N
    gone = {verdict.image_path for verdict in verdicts} - set(paths)
    content_of = contents_of(finished) if gone else {}
    wanted = {content_of[path]: path for path in gone & content_of.keys()}
    if not wanted:
        return list(verdicts)
    usable = ingested.problem_N == ""
    new = {
        wanted.get(_content(Path(file))): path
        for path, file in zip(paths[usable], files[usable], strict=True)
        if path not in content_of
    }
    return [replace(verdict, image_path=new.get(verdict.image_path, verdict.image_path)) for verdict in verdicts]


def _content(file: Path) -> str:
    """SHA-256 of a file; empty of what is no file to be read, which is told when images are decoded."""
    try:
        return hashlib.sha256(read_content(file)).hexdigest()
    except UnreadableImage:
        return ""
