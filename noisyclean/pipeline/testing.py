"""Stage ``prepare-test``, and what a model is worth on images it never saw."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from noisyclean.base.files import fingerprint
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.augment import FixedView, training_views
from noisyclean.data.batches import load_pixels
from noisyclean.data.conflicts import find_conflicts
from noisyclean.data.ingest import Ingested, IngestOptions, read_labels, select_rows
from noisyclean.data.journal import IMAGES, JOURNAL, open_store
from noisyclean.data.rows import ImageRows
from noisyclean.data.splits import TEST_NAMES, rows_of_split
from noisyclean.data.store import build_store
from noisyclean.engine.inference import log_probabilities
from noisyclean.errors import DataError
from noisyclean.nn import create_backbone
from noisyclean.ops.metrics import class_table, expected_calibration_error, reliability_bins, share_interval
from noisyclean.pipeline.preparing import Prepared, pixel_mapping
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import run_stage
from noisyclean.pipeline.training import Trained
from noisyclean.types import BoolArray, IntArray, StrArray

__all__ = [
    "OTHER_IMAGES",
    "TestSet",
    "Tested",
    "prepare_test_stage",
    "set_tested_aside",
    "split_off_test",
    "test_model",
]

OTHER_IMAGES = "Test on other images."
PLAIN, MIRRORED = FixedView(), FixedView(flip=True)


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Images to judge by, none of them trained on."""

    __test__ = False

    images_NHWI: ImageRows
    label_N: IntArray
    """Classes of the training; -1 for a class it does not have, which no prediction can hit."""
    content_N: StrArray
    """SHA-256 of each file."""
    fingerprint: str
    source: str
    """What they are, in words."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A model's figures on a test set."""

    __test__ = False

    figures: dict[str, Any]
    is_right_N: BoolArray
    """Whether each image is classified rightly, after the last epoch; for paired comparisons."""


def set_tested_aside(ingested: Ingested, files: Sequence[str], test: Path, *, reporter: Reporter) -> Ingested:
    """Give the rows whose file is tested on to the split named test, so that nothing is learnt from them.

    Args:
        ingested: The table to learn from.
        files: Paths of what is tested on; links lead to the file they mean.
        test: The table that lists them, for messages.
        reporter: Hears how many there are.

    Raises:
        DataError: Nothing is left to learn from.
    """
    table = ingested.table
    is_tested_N = np.isin([*map(os.path.realpath, table.file_N)], [*map(os.path.realpath, files)])
    if not is_tested_N.any():
        return ingested
    if is_tested_N[ingested.problem_N == ""].all():
        raise DataError(f"{test}: lists every image that could be learnt from", hint=OTHER_IMAGES)
    split_N = np.full(len(table), "", dtype=object) if table.split_N is None else table.split_N.copy()
    split_N[is_tested_N] = sorted(TEST_NAMES)[0]
    mark = fingerprint([table.fingerprint, np.flatnonzero(is_tested_N).tolist()])
    reporter.say(f"{int(is_tested_N.sum()):,} rows are listed in {test.name} too: they are tested on, not learnt from")
    return replace(ingested, table=replace(table, split_N=split_N, fingerprint=mark))


def split_off_test(prepared: Prepared, *, is_judge: bool = True, reporter: Reporter) -> tuple[Prepared, TestSet | None]:
    """Take the rows of a split named test out of the training; nothing is left of them in what is learnt from.

    Copies of images that are trained on are not tested on.

    Args:
        prepared: All images.
        is_judge: Whether they are what is tested on, and not a table of their own.
        reporter: Hears how many there are.

    Raises:
        DataError: Nothing is left to test on.
    """
    is_test_N = rows_of_split(prepared.table, TEST_NAMES)
    if not is_test_N.any():
        return prepared, None
    table, content_N = select_rows(prepared.table, ~is_test_N), prepared.content_N[~is_test_N]
    training = replace(
        prepared,
        usable_N=_without(prepared.usable_N, is_test_N),
        table=table,
        images_NHWI=prepared.images_NHWI.where(~is_test_N),
        content_N=content_N,
        conflicts=find_conflicts(table, content_N),
    )
    if not is_judge:
        return training, None
    is_known_N = is_test_N & np.isin(prepared.content_N, content_N)
    source, num = "the split named test", int(is_test_N.sum())
    tested_N = is_test_N & ~is_known_N
    if not tested_N.any():
        raise DataError(f"{source}: all of its images are trained on", hint=OTHER_IMAGES)
    _report_test(source, int(tested_N.sum()), num, int(is_known_N.sum()), (), reporter)
    test = TestSet(
        images_NHWI=prepared.images_NHWI.where(tested_N),
        label_N=prepared.table.label_N[tested_N],
        content_N=prepared.content_N[tested_N],
        fingerprint=prepared.stage.fingerprint,
        source=source,
    )
    return training, test


def _without(usable_N: BoolArray, taken_M: BoolArray) -> BoolArray:
    """A mask whose set entries are those of ``taken_M``, less the taken ones."""
    left_N = usable_N.copy()
    left_N[usable_N] = ~taken_M
    return left_N


def prepare_test_stage(
    run: RunDir, images: Path, test: Path, options: IngestOptions, prepared: Prepared, plan: Plan, *, reporter: Reporter
) -> TestSet:
    """Decode a test table's images as the training's were.

    Raises:
        DataError: The table cannot be used, or all of its images are trained on.
    """
    ingested = read_labels(images, test, options)
    table = ingested.table
    listed = np.flatnonzero(ingested.problem_N == "")
    mapping = pixel_mapping(plan)

    def work(folder: Path) -> list[Path]:
        build_store(folder, table.file_N[listed].tolist(), mapping, threads=plan.threads, reporter=reporter)
        return [folder / IMAGES, folder / JOURNAL]

    inputs = {"labels": table.fingerprint, "images": ingested.files_fingerprint}
    stage = run_stage(run, "prepare-test", work, settings={"pixels": asdict(mapping)}, inputs=inputs, reporter=reporter)
    store = open_store(stage.folder)
    is_known_N = np.isin(store.content_N, prepared.content_N)
    usable_N = (store.failure_N == "") & ~is_known_N
    if not usable_N.any():
        raise DataError(f"{test}: all of its images are trained on, or unreadable", hint=OTHER_IMAGES)
    names = table.given_label()[listed]
    label_N = prepared.table.class_indices(names)
    others = names[label_N < 0].tolist()
    _report_test(test.name, int(usable_N.sum()), len(table), int(is_known_N.sum()), others, reporter)
    return TestSet(
        images_NHWI=ImageRows(store.images_NHWI).where(usable_N),
        label_N=label_N[usable_N],
        content_N=store.content_N[usable_N],
        fingerprint=stage.fingerprint,
        source=str(test),
    )


def _report_test(
    name: str, num_usable: int, num_rows: int, num_known: int, unknown: Sequence[str], reporter: Reporter
) -> None:
    reporter.say(f"{name}: {num_usable:,} of {num_rows:,} images to test on")
    if num_known:
        reporter.warn(f"{name}: {num_known:,} images are also trained on; they are left out of the test")
    if len(unknown):
        reporter.warn(
            f"{name}: {len(unknown):,} images are of classes that are not trained on, {unknown[0]!r} among them; "
            "they count as errors"
        )


def test_model(trained: Trained, test: TestSet, plan: Plan, runtime: Runtime, classes: tuple[str, ...]) -> Tested:
    """Judge the last epoch as it is and averaged over mirror images, the selected epoch, and all nets together."""
    statistics = torch.tensor(trained.record["mean"]), torch.tensor(trained.record["std"])
    pixels = load_pixels(test.images_NHWI, runtime.device, statistics=statistics)

    def ask(weights: Path, *views: FixedView) -> NDArray[np.float32]:
        net = create_backbone(plan.backbone, num_classes=len(classes), seed=0).to(runtime.device)
        net.load_state_dict(load_file(weights))
        log_p: NDArray[np.float32] = log_probabilities(net, pixels, views, runtime).cpu().numpy()
        return log_p

    def accuracy(log_p_NC: NDArray[np.float32]) -> float:
        return float((log_p_NC.argmax(axis=1) == test.label_N).mean())

    log_p_NC = ask(trained.nets[0], PLAIN)
    predicted_N = log_p_NC.argmax(axis=1)
    is_right_N = predicted_N == test.label_N
    sure_N = np.exp(log_p_NC.max(axis=1).astype(np.float64))
    selected = None if trained.selected is None else accuracy(ask(trained.selected, PLAIN))
    together = None if len(trained.nets) == 1 else accuracy(np.sum([ask(net, PLAIN) for net in trained.nets], axis=0))
    mirrors = training_views(plan.augment, is_strong=False).flip
    rows = class_table(predicted_N, test.label_N, len(classes))
    figures = {
        "source": test.source,
        "num_images": len(test.label_N),
        "accuracy": float(is_right_N.mean()),
        "interval": list(share_interval(int(is_right_N.sum()), len(is_right_N))),
        "selected_accuracy": selected,
        "flip_averaged_accuracy": accuracy(ask(trained.nets[0], PLAIN, MIRRORED)) if mirrors else None,
        "all_nets_accuracy": together,
        "ece": expected_calibration_error(sure_N, is_right_N),
        "reliability": [list(row) for row in reliability_bins(sure_N, is_right_N)],
        "classes": [{"name": name, **row} for name, row in zip(classes, rows, strict=True)],
    }
    return Tested(figures=figures, is_right_N=is_right_N)
