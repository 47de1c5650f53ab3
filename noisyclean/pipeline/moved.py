"""Verdicts on images that were moved or renamed since, as ``review --to-folders`` does: known by their content."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from noisyclean.data.decode import UnreadableImage, read_content
from noisyclean.data.ingest import Ingested
from noisyclean.pipeline.finished import FinishedRun
from noisyclean.pipeline.reuse import contents_of
from noisyclean.pipeline.trail import read_trail
from noisyclean.report.verdicts import Verdict

__all__ = ["verdicts_now"]


def verdicts_now(finished: FinishedRun, ingested: Ingested) -> list[Verdict]:
    """All verdicts of a run and of the rounds before it, each with the path that its image has now.

    Files are read only where a verdict's path is gone, and only those whose paths the earlier run did not have.

    Args:
        finished: The earlier run.
        ingested: The images as they are now.
    """
    verdicts = read_trail(finished.root)
    paths, files = ingested.table.image_path_N, ingested.table.file_N
    gone = {verdict.image_path for verdict in verdicts} - set(paths)
    content_of = contents_of(finished) if gone else {}
    wanted = {content_of[path]: path for path in gone & content_of.keys()}
    if not wanted:
        return verdicts
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
