"""``--use-unlabelled``: images without a label, which pre-training is shown and nothing else ever sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from noisyclean.base.files import fingerprint
from noisyclean.base.log import Reporter
from noisyclean.config import Plan
from noisyclean.data.folders import unlisted_images
from noisyclean.data.ingest import Ingested
from noisyclean.data.journal import IMAGES, JOURNAL, open_store
from noisyclean.data.paths import stamp_of
from noisyclean.data.rows import ImageRows
from noisyclean.data.store import build_store
from noisyclean.pipeline.preparing import pixel_mapping
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, run_stage
from noisyclean.types import BoolArray

__all__ = ["UNLABELLED", "Unlabelled", "find_unlabelled", "unlabelled_stage"]

UNLABELLED = "unlabelled images"
"""What a stage calls them among its inputs."""


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Decoded images without a label that can be used: readable, and no copy of a listed one."""

    stage: Stage
    images_UHWI: ImageRows
    mark: str
    """Fingerprint of them."""


def find_unlabelled(images: Path, ingested: Ingested, *, but: Iterable[str] = ()) -> list[str]:
    """Files below the images folder that the table does not list, or lists without a label.

    Args:
        images: The images folder.
        ingested: The table.
        but: Files that must not be among them.
    """
    table = ingested.table
    return unlisted_images(images, [*table.file_N[table.label_N >= 0], *but])


def unlabelled_stage(
    run: RunDir, files: Sequence[str], known: Sequence[str], plan: Plan, *, reporter: Reporter
) -> Unlabelled | None:
    """Decode unlabelled images as the labelled ones were, and say how many there are.

    Args:
        run: The run directory.
        files: Absolute paths.
        known: SHA-256 of the labelled images, and of those that are tested on; copies of them are left out.
        plan: The plan.
        reporter: Hears what is used.

    Returns:
        None where there are none, or where the plan pre-trains nothing.
    """
    if not files:
        reporter.warn("--use-unlabelled has no effect: every image of the folder is listed with a label")
        return None
    if not plan.num_unlabelled:
        reporter.warn(
            f"--use-unlabelled has no effect on {len(files):,} images: the plan leaves pre-training out; "
            "--preset thorough or --set simclr.epochs=N pre-trains"
        )
        return None
    mapping = pixel_mapping(plan)

    def work(folder: Path) -> list[Path]:
        build_store(folder, list(files), mapping, threads=plan.threads, reporter=reporter)
        return [folder / IMAGES, folder / JOURNAL]

    inputs = {"images": fingerprint([(file, stamp_of(file)) for file in files])}
    settings = {"pixels": asdict(mapping)}
    stage = run_stage(run, "prepare-unlabelled", work, settings=settings, inputs=inputs, reporter=reporter)
    store = open_store(stage.folder)
    kept_L: BoolArray = (store.failure_N == "") & ~np.isin(store.content_N, known)
    reporter.say(
        f"{int(kept_L.sum()):,} images without a label are pre-trained on and never judged; "
        f"{int((~kept_L).sum()):,} more are unreadable or copies of others"
    )
    if not kept_L.any():
        return None
    return Unlabelled(
        stage=stage,
        images_UHWI=ImageRows(store.images_NHWI).where(kept_L),
        mark=fingerprint(store.content_N[kept_L].tolist()),
    )
