"""Verdicts on images that were moved or renamed since, as ``review --to-folders`` does: known by their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from noisyclean.base.files import sha256_file
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
        wanted.get(sha256_file(Path(file))): path
        for path, file in zip(paths[usable], files[usable], strict=True)
        if path not in content_of
    }
    return [replace(verdict, image_path=new.get(verdict.image_path, verdict.image_path)) for verdict in verdicts]
