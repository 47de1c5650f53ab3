"""Verdicts on images that were moved, renamed or replaced since: an image is what its file holds."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from noisyclean.base.log import Reporter
from noisyclean.data.decode import UnreadableImage, read_content
from noisyclean.data.ingest import Ingested
from noisyclean.data.known import KnownImages
from noisyclean.pipeline.finished import FinishedRun
from noisyclean.pipeline.preparing import pixel_mapping, stored_images
from noisyclean.pipeline.reuse import contents_of
from noisyclean.pipeline.trail import read_trail
from noisyclean.report.verdicts import Decision, Verdict, decide

__all__ = ["verdicts_now"]

REPLACED = "another picture is there now"
"""Comment of the verdicts that are withdrawn because of that."""


def verdicts_now(finished: FinishedRun, ingested: Ingested, reporter: Reporter) -> list[Verdict]:
    """All verdicts of a run and of the rounds before it, as far as they are about the images that are there now.

    A verdict goes where its image went, and becomes ``unsure`` where another picture lies at its path. Files are read
    only where that is in question.

    Args:
        finished: The earlier run.
        ingested: The images as they are now.
        reporter: Hears how many pictures were replaced.
    """
    verdicts = read_trail(finished.root)
    if not verdicts:
        return []
    content_of = contents_of(finished)
    usable = ingested.problem_N == ""
    paths = ingested.table.image_path_N
    file_of = dict(zip(paths[usable], ingested.table.file_N[usable], strict=True))
    asked = dict.fromkeys(verdict.image_path for verdict in verdicts)
    label_of = dict(zip(paths, ingested.table.given_label(), strict=True))
    gone = {path: content_of[path] for path in asked.keys() - set(paths) if path in content_of}
    new = {path: _content(file) for path, file in file_of.items() if path not in content_of} if gone else {}
    moved = _moved([path for path in asked if path in gone], gone, new, label_of, decide(verdicts))
    replaced = _replaced(finished, {path: file_of[path] for path in asked if path in file_of}, content_of)
    if replaced:
        reporter.warn(f"reviewed in {finished.root}: {len(replaced):,} files hold another picture now, to review anew")
    return [_as_of_now(verdict, moved, replaced) for verdict in verdicts]


def _moved(
    gone: Sequence[str],
    content_of: Mapping[str, str],
    new: Mapping[str, str],
    label_of: Mapping[str, str],
    decisions: Mapping[str, Decision],
) -> dict[str, str]:
    """The new path of each image that is gone; of files that hold the same, first where the label is what was decided.

    Args:
        gone: Paths of images that were judged, in the order of the verdicts.
        content_of: SHA-256 of these.
        new: SHA-256 of the files that an image may have moved to.
        label_of: Their labels.
        decisions: What the reviewers decided.
    """
    free: defaultdict[str, list[str]] = defaultdict(list)
    for path, content in new.items():
        free[content].append(path)
    moved: dict[str, str] = {}
    for fits in (True, False):
        for path in gone:
            places = free[content_of[path]]
            place = next((one for one in places if not fits or label_of[one] == decisions[path].new_label), None)
            if path not in moved and place is not None:
                moved[path] = place
                places.remove(place)
    return moved


def _replaced(finished: FinishedRun, file_of: Mapping[str, str], content_of: Mapping[str, str]) -> set[str]:
    """Paths at which another picture lies than the run judged."""
    known = KnownImages([stored_images(finished.run)], pixel_mapping(finished.plan))
    return {
        path
        for path, file in file_of.items()
        if path in content_of and known.by_file(file) is None and _content(file) not in ("", content_of[path])
    }


def _as_of_now(verdict: Verdict, moved: Mapping[str, str], replaced: set[str]) -> Verdict:
    if verdict.image_path in replaced:
        return replace(verdict, verdict="unsure", new_label="", comment=REPLACED)
    return replace(verdict, image_path=moved.get(verdict.image_path, verdict.image_path))


def _content(file: str) -> str:
    """SHA-256 of a file; empty of what is no file to be read, which is told when images are decoded."""
    try:
        return hashlib.sha256(read_content(Path(file))).hexdigest()
    except UnreadableImage:
        return ""
