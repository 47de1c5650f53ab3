"""Stage ``score``: the signals read the evidence and are fused into one verdict on every label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from noisyclean.base.files import write_npz
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import use_threads
from noisyclean.config import Plan
from noisyclean.data.contrast import contrasts
from noisyclean.detect.certain import settle_blanks, settle_conflicts, settle_transitions, settle_verified
from noisyclean.detect.fuse import fuse
from noisyclean.detect.neighbours import with_votes
from noisyclean.detect.signal import signals
from noisyclean.pipeline.learning import Learned
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import Stage, run_stage
from noisyclean.types import Evidence, FloatArray, SampleStats, SignalScore

__all__ = ["Scored", "apply_signals", "outside_signals", "score_stage", "settle_certain"]

SIGNALS = "signals.npz"
VOTES = "votes_NC"
"""Name in there of the neighbours' votes."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The verdicts."""

    stage: Stage
    stats: SampleStats


def score_stage(run: RunDir, prepared: Prepared, learned: Learned, plan: Plan, *, reporter: Reporter) -> Scored:
    """Apply every signal whose evidence is there, and fuse them.

    The verdicts are cheap to compute from the evidence, so the stage keeps the signals' raw values, and the neighbours'
    votes where these are an opinion, and all is fused again from those when a finished run is opened.
    """
    evidence = learned.evidence

    def work(folder: Path) -> list[Path]:
        device = torch.device(plan.device)
        with use_threads(plan.threads):
            asked = with_votes(evidence, num_neighbours=plan.score.num_neighbours, device=device)
            scores = apply_signals(asked, device=device)
        has_learnt_labels = evidence.has("held_out_N")  # a net trained here, and so has its embedding
        return [_save(scores, None if has_learnt_labels else asked.votes_NC, folder / SIGNALS)]

    settings = {"score": asdict(plan.score), "seed": plan.seed} | outside_signals()
    stage = run_stage(
        run, "score", work, settings=settings, inputs={learned.stage.name: learned.stage.fingerprint}, reporter=reporter
    )
    scores, votes_NC = _load(stage.folder / SIGNALS)
    evidence = replace(evidence, votes_NC=votes_NC)
    stats = settle_certain(fuse(evidence, scores, classes=prepared.table.classes), prepared)
    for note in stats.notes:
        reporter.say(note)
    return Scored(stage=stage, stats=stats)


def settle_certain(stats: SampleStats, prepared: Prepared) -> SampleStats:
    """Put what is known for certain before what is probable."""
    table, conflicts = prepared.table, prepared.conflicts
    stats = settle_conflicts(
        stats,
        table.label_N,
        rival_N=conflicts.rival_N,
        is_settled_N=conflicts.is_settled_N,
        reason_N=conflicts.reason_N,
    )
    stats = settle_blanks(stats, contrasts(prepared.images_NHWI))
    if table.verified_N is not None:
        stats = settle_verified(stats, table.label_N, table.verified_N)
    return settle_transitions(stats, table.label_N)


def apply_signals(evidence: Evidence, *, device: torch.device) -> dict[str, SignalScore]:
    """Every registered signal whose needs are met, by name."""
    return {
        name: signals.get(name)()(evidence, device=device)
        for name in signals.names()
        if all(evidence.has(need) for need in signals.get(name).needs)
    }


def outside_signals() -> dict[str, object]:
    """What verdicts depend on where plugins give signals; nothing where none does."""
    outside = signals.outside()
    return {"plugins": outside} if outside else {}


def _save(scores: Mapping[str, SignalScore], votes_NC: FloatArray | None, path: Path) -> Path:
    arrays: dict[str, np.ndarray] = {} if votes_NC is None else {VOTES: votes_NC}
    for name, score in scores.items():
        arrays[f"{name}.raw"] = score.raw_N
        arrays[f"{name}.suspicion"] = score.suspicion_N
        arrays[f"{name}.notes"] = np.asarray(score.notes, dtype=str)
    return write_npz(path, arrays)


def _load(path: Path) -> tuple[dict[str, SignalScore], FloatArray | None]:
    with np.load(path, allow_pickle=False) as arrays:
        names = sorted({key.rpartition(".")[0] for key in arrays if key != VOTES})
        scores = {
            name: SignalScore(
                raw_N=arrays[f"{name}.raw"],
                suspicion_N=arrays[f"{name}.suspicion"],
                notes=tuple(str(note) for note in arrays[f"{name}.notes"]),
            )
            for name in names
        }
        return scores, arrays.get(VOTES)
