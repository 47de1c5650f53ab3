"""Stage ``group``: pictures of a training that are nearly the same are one group, and none of them is tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from noisyclean.base.files import write_npz
from noisyclean.base.log import Reporter
from noisyclean.data.duplicates import merge_groups, near_duplicates
from noisyclean.errors import DataError
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import run_stage
from noisyclean.pipeline.testing import OTHER_IMAGES, TestSet

__all__ = ["group_stage"]

GROUPS = "groups.npz"


def group_stage(
    run: RunDir, prepared: Prepared, test: TestSet | None, *, reporter: Reporter
) -> tuple[Prepared, TestSet | None]:
    """Find near-duplicates, let them be of one group, and take those of training images out of the test.

    Args:
        run: The run directory.
        prepared: The images to train on.
        test: Images to judge by.
        reporter: Hears what is left out.

    Raises:
        DataError: Nothing is left to test on.
    """

    def work(folder: Path) -> list[Path]:
        tested = [] if test is None else [test.images_NHWI]
        duplicate_N, duplicate_M = np.split(near_duplicates(prepared.images_NHWI, *tested), [len(prepared.table)])
        return [write_npz(folder / GROUPS, {"duplicate_N": duplicate_N, "duplicate_M": duplicate_M})]

    inputs = {"prepare": prepared.stage.fingerprint} | ({} if test is None else {"test": test.fingerprint})
    stage = run_stage(run, "group", work, settings={}, inputs=inputs, reporter=reporter)
    with np.load(stage.folder / GROUPS, allow_pickle=False) as arrays:
        duplicate_N, duplicate_M = arrays["duplicate_N"], arrays["duplicate_M"]
    group_N = merge_groups(duplicate_N, prepared.table.group_N)
    has_groups = len(np.unique(group_N)) < len(group_N)
    grouped = replace(prepared, table=replace(prepared.table, group_N=group_N if has_groups else None))
    if test is None:
        return grouped, None
    is_known_M = np.isin(duplicate_M, duplicate_N)
    if is_known_M.all():
        raise DataError(f"{test.source}: all of its images are nearly the same as trained ones", hint=OTHER_IMAGES)
    if is_known_M.any():
        num = f"{int(is_known_M.sum()):,}"
        reporter.warn(f"{test.source}: {num} images are nearly the same as trained ones; they are left out of the test")
    kept = replace(
        test,
        images_NHWI=test.images_NHWI.where(~is_known_M),
        label_N=test.label_N[~is_known_M],
        content_N=test.content_N[~is_known_M],
        fingerprint=stage.fingerprint,
    )
    return grouped, kept
