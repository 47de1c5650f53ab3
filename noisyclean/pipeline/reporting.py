"""Stage ``report``: the files a person opens and the files a program reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from noisyclean.base.files import fingerprint, read_json, write_json, write_npz, write_text
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import choose_runtime
from noisyclean.config import Plan
from noisyclean.data.batches import load_pixels
from noisyclean.export.bundle import write_bundle
from noisyclean.pipeline.detecting import Scored
from noisyclean.pipeline.learning import Learned
from noisyclean.pipeline.preparing import Prepared, pixel_mapping
from noisyclean.pipeline.rundir import EDITABLE, RunDir
from noisyclean.pipeline.stage import run_stage
from noisyclean.report.flags import flag_table, flagged_rows, score_table, to_csv
from noisyclean.report.html import render_page
from noisyclean.report.verdict import summarise
from noisyclean.types import FloatArray

__all__ = ["report_stage"]

OPTIONAL = ("embeddings.npz", "model/config.json", "model/model.safetensors")
"""Outputs that not every way of auditing has."""


def report_stage(
    run: RunDir,
    prepared: Prepared,
    learned: Learned,
    scored: Scored,
    plan: Plan,
    *,
    reporter: Reporter,
    compare: Callable[[], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write all outputs; returns ``summary.json``.

    Args:
        run: The run directory.
        prepared: Pixels and labels.
        learned: What training recorded.
        scored: The verdicts.
        plan: The plan.
        reporter: Hears about the progress.
        compare: Says what changed since an earlier run, once ``scores.csv`` is written.
    """

    def work(_: Path) -> list[Path]:
        summary = summarise(
            prepared.table,
            scored.stats,
            num_quarantined=int((~prepared.usable_N).sum()) + prepared.num_left_out,
            inputs=prepared.facts,
            notes=[*prepared.notes, *learned.notes],
            plan=plan.to_json(),
            stages=run.costs,
        )
        outputs = [
            _write_flagged(run, prepared, scored, reporter),
            _text(run.root / "scores.csv", to_csv(score_table(prepared.everything, scored.stats, prepared.usable_N))),
            _text(run.root / "report.html", _page(run, summary, prepared, learned, scored, plan)),
            _arrays(run.root / "pred_probs.npz", prepared, p_NC=scored.stats.p_NC),
            *_write_what_there_is(run.root, prepared, learned, plan),
        ]
        _discard_stale(run, outputs)
        write_json(run.root / "summary.json", summary | ({"since": compare()} if compare is not None else {}))
        return [*outputs, run.root / "summary.json"]

    inputs = {"score": scored.stage.fingerprint, "prepare": prepared.stage.fingerprint}
    inputs["carried columns"] = _carried_mark(prepared, scored)
    inputs["rows"] = _rows_mark(prepared)
    settings = {"num_cards": plan.report.num_cards, "thumbnail_px": plan.report.thumbnail_px}
    run_stage(run, "report", work, settings=settings, inputs=inputs, reporter=reporter, may_be_edited=EDITABLE)
    summary: dict[str, Any] = read_json(run.root / "summary.json")
    return summary


def _carried_mark(prepared: Prepared, scored: Scored) -> str:
    """Hash of what the table's other columns say of the flagged images; nothing before the report depends on it."""
    carried = prepared.table.carried
    return fingerprint([list(carried.columns), carried.iloc[flagged_rows(scored.stats)].to_numpy().tolist()])


def _rows_mark(prepared: Prepared) -> str:
    """Hash of where the rows stand in the table and of what is left out; nothing before the report depends on it."""
    return fingerprint([prepared.everything.row_N.tolist(), prepared.facts["num_rows"], prepared.facts["problems"]])


def _write_flagged(run: RunDir, prepared: Prepared, scored: Scored, reporter: Reporter) -> Path:
    text = to_csv(flag_table(prepared.table, scored.stats))
    draft = run.stage_folder("report") / "flagged.draft.csv"
    write_text(draft, text, encoding="utf-8-sig")
    return run.write_flagged(draft, reporter=reporter)


def _page(
    run: RunDir, summary: Mapping[str, Any], prepared: Prepared, learned: Learned, scored: Scored, plan: Plan
) -> str:
    worst = flagged_rows(scored.stats)[: plan.report.num_cards]
    return render_page(
        title=f"Audit of {read_json(run.root / 'run.json')['describe']['images']}",
        identity=scored.stage.fingerprint,
        summary=summary,
        flagged=flag_table(prepared.table, scored.stats).head(plan.report.num_cards),
        files=[str(file) for file in prepared.table.file_N[worst]],
        stats=scored.stats,
        loss_N=_losses(prepared, learned, scored),
        mapping=replace(pixel_mapping(plan), size_px=plan.report.thumbnail_px, policy="pad"),
    )


def _losses(prepared: Prepared, learned: Learned, scored: Scored) -> FloatArray:
    """Mean cross-entropy of each given label; where none was recorded, that under the pooled opinion."""
    if learned.evidence.loss_EN is not None:
        mean_N: FloatArray = learned.evidence.loss_EN.mean(axis=0)
        return mean_N
    given_N = scored.stats.p_NC[np.arange(len(prepared.table)), prepared.table.label_N]
    loss_N: FloatArray = -np.log(np.maximum(given_N, 1e-12))
    return loss_N


def _write_what_there_is(root: Path, prepared: Prepared, learned: Learned, plan: Plan) -> list[Path]:
    """Embeddings and the model; neither where there is none."""
    outputs: list[Path] = []
    if learned.evidence.z_ND is not None:
        outputs.append(_arrays(root / OPTIONAL[0], prepared, z_ND=learned.evidence.z_ND))
    if learned.weights is not None:
        outputs += _write_model(root / "model", learned.weights, prepared, learned, plan)
    return outputs


def _discard_stale(run: RunDir, outputs: list[Path]) -> None:
    """Remove what an earlier way of auditing wrote here and this one does not, unless somebody changed it."""
    for name in OPTIONAL:
        path = run.root / name
        if path.exists() and path not in outputs and not run.is_edited(name):
            path.unlink()


def _write_model(folder: Path, weights: Path, prepared: Prepared, learned: Learned, plan: Plan) -> list[Path]:
    pixels = load_pixels(prepared.images_NHWI, choose_runtime("cpu").device)
    return write_bundle(
        folder,
        weights,
        architecture=plan.backbone,
        classes=prepared.table.classes,
        mapping=pixel_mapping(plan),
        mean=learned.mean or pixels.mean_3.tolist(),
        std=learned.std or pixels.std_3.tolist(),
        method=learned.method,
    )


def _arrays(path: Path, prepared: Prepared, **arrays: FloatArray) -> Path:
    """Arrays with their ids and class names, readable without pickle."""
    ids = {
        "image_path": prepared.table.image_path_N.astype(str),
        "classes": np.asarray(prepared.table.classes, dtype=str),
    }
    return write_npz(path, ids | {name: array.astype(np.float32, copy=False) for name, array in arrays.items()})


def _text(path: Path, text: str) -> Path:
    write_text(path, text)
    return path
