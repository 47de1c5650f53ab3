"""Stage ``look``: what a person can look at while the networks train: a first list, and the images as they see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from noisyclean.base.files import write_text
from noisyclean.base.log import Reporter
from noisyclean.config import Plan
from noisyclean.detect.fuse import fuse
from noisyclean.pipeline.detecting import settle_certain
from noisyclean.pipeline.embedding import Embedded
from noisyclean.pipeline.machine import training_settings
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import EDITABLE, FLAGGED, RunDir
from noisyclean.pipeline.stage import run_stage, undo_stage
from noisyclean.pipeline.viewing import write_preview
from noisyclean.report.flags import flag_table, to_csv
from noisyclean.types import Evidence

__all__ = ["look_stage"]

WORD = "preliminary: "


def look_stage(run: RunDir, prepared: Prepared, embedded: Embedded, plan: Plan, *, reporter: Reporter) -> None:
    """Write ``preview.png``, and a ``flagged.csv`` of what the left-out classifier suspects, marked as preliminary.

    Contradictions of the table, which are certain, come first. The report is written again after it, and replaces the
    list unless a person edited it.
    """
    table = prepared.table

    def work(folder: Path) -> Iterable[Path]:
        write_preview(run.root / "preview.png", plan, prepared)
        evidence = Evidence(
            label_N=table.label_N, num_classes=table.num_classes, outside_log_p_NC=embedded.outside_log_p_NC
        )
        stats = settle_certain(fuse(evidence, {}, classes=table.classes), prepared)
        reason_N = np.where(stats.flagged_N, WORD + stats.reason_N, "")
        draft = folder / FLAGGED
        write_text(draft, to_csv(flag_table(table, replace(stats, reason_N=reason_N))), encoding="utf-8-sig")
        written = run.write_flagged(draft, reporter=reporter)
        reporter.say(f"a first, preliminary list of {int(stats.flagged_N.sum()):,} images: {written}")
        return [written, run.root / "preview.png"]

    stage = run_stage(
        run,
        "look",
        work,
        settings=training_settings(plan),
        inputs={"embed": embedded.stage.fingerprint},
        reporter=reporter,
        may_be_edited=EDITABLE,
    )
    if not stage.was_done:
        undo_stage(run, "report")
