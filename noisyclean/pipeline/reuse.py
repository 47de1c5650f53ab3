"""``--reuse RUN``: what an earlier audit still says after a review, and what has to be looked at anew.

Decoded images and pre-training do not depend on labels and are taken as they are. The recorded evidence (losses,
margins, probabilities, features of each network) is taken row by row: images whose label did not change keep theirs; a
changed label is judged by the probabilities recorded before the change; new images are shown to the finished networks.
Neighbours, mixtures, fusion and thresholds are computed anew on the labels as they are now. Above
``reuse.retrain_above`` changed labels and new images the networks are trained again, on the corrected labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from noisyclean.base.files import read_json, write_npz
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import choose_runtime, use_threads
from noisyclean.config import Plan
from noisyclean.data.batches import NORMALISATION
from noisyclean.data.journal import open_store
from noisyclean.data.splits import HELD_OUT
from noisyclean.export.folders import link_or_copy
from noisyclean.ops.pooling import margins
from noisyclean.pipeline.finished import FinishedRun, weight_files
from noisyclean.pipeline.preparing import Prepared, stored_images
from noisyclean.pipeline.stage import DONE, TakenOver
from noisyclean.pipeline.unlabelled import UNLABELLED, Unlabelled
from noisyclean.types import BoolArray, FloatArray, IntArray, StrArray

__all__ = ["Carried", "Matched", "carry_over", "carry_record", "contents_of", "match_rows", "take_pretraining"]

RECORDED = frozenset({"loss_EN", "margin_EN", "log_p_NC", "z_ND"})
"""What each network's record holds; records with more in them are not carried over, but for :data:`LATER`."""
LATER = frozenset({*NORMALISATION, HELD_OUT})
"""What older versions did not record: how a network's images were normalised, and which it did not learn from."""


@dataclass(frozen=True)
class Matched:
    """Which row of the earlier run each row is."""

    source_N: IntArray
    """Row among the earlier run's usable ones; -1 for new images."""
    is_new_N: BoolArray
    """Whether an image was not there."""
    changed_N: BoolArray
    """Whether a known image has another label now."""


@dataclass(frozen=True)
class Carried:
    """What a run takes from an earlier one; nothing where there is none."""

    pretraining: TakenOver | None
    evidence: TakenOver | None
    is_new_N: BoolArray
    """Whether an image was not in the earlier run."""
    changed_N: BoolArray
    """Whether a known image has another label now."""


def carry_over(
    finished: FinishedRun | None,
    prepared: Prepared,
    plan: Plan,
    *,
    unlabelled: Unlabelled | None = None,
    reporter: Reporter,
) -> Carried:
    """Decide what of an earlier run still holds, and say so."""
    if finished is None:
        everything, nothing = np.ones(len(prepared.table), dtype=bool), np.zeros(len(prepared.table), dtype=bool)
        return Carried(None, None, everything, nothing)
    matched = match_rows(finished, prepared)
    if (finished.plan.way, plan.way) != ("train", "train"):
        reporter.say("reuse: decoded images alone are taken over, because not both runs train nets")
        return Carried(None, None, matched.is_new_N, matched.changed_N)
    return Carried(
        pretraining=_take_pretraining(finished, plan, matched, unlabelled),
        evidence=_take_evidence(finished, prepared, plan, matched, unlabelled, reporter=reporter),
        is_new_N=matched.is_new_N,
        changed_N=matched.changed_N,
    )


def match_rows(finished: FinishedRun, prepared: Prepared) -> Matched:
    """Find each image in the earlier run: by its path if the content is the same, else by its content."""
    scores, content = _judged(finished)
    by_path = {path: row for row, path in enumerate(scores["image_path"])}
    by_content = {value: row for row, value in reversed(list(enumerate(content)))}
    table = prepared.table
    source_N = np.full(len(table), -1, dtype=np.int64)
    for row, (path, value) in enumerate(zip(table.image_path_N, prepared.content_N, strict=True)):
        known = by_path.get(path, -1)
        source_N[row] = known if known >= 0 and content[known] == value else by_content.get(value, -1)
    before = scores["given_label"].to_numpy(dtype=object)[np.maximum(source_N, 0)]
    is_new_N = source_N < 0
    return Matched(source_N, is_new_N, ~is_new_N & (before != table.given_label()))


def contents_of(finished: FinishedRun) -> dict[str, str]:
    """SHA-256 of each image that a run judged, by its path."""
    scores, content = _judged(finished)
    return dict(zip(scores["image_path"], content, strict=True))


def _judged(finished: FinishedRun) -> tuple[pd.DataFrame, StrArray]:
    """Scores of the images that a run judged, and their SHA-256."""
    store = open_store(stored_images(finished.run))
    return finished.scores[finished.scores["p_mislabeled"] != ""], store.content_N[store.failure_N == ""]


def take_pretraining(
    finished: FinishedRun,
    prepared: Prepared,
    plan: Plan,
    *,
    tested: Sequence[str],
    unlabelled: Unlabelled | None,
    reporter: Reporter,
) -> TakenOver | None:
    """An earlier run's pre-training, where it still holds for these images and this plan.

    Args:
        finished: The earlier run.
        prepared: The images trained on.
        plan: The plan.
        tested: SHA-256 of the images to judge by, none of which may have been pre-trained on.
        unlabelled: Other images to pre-train on.
        reporter: Hears why it is not taken over.
    """
    taken = _take_pretraining(finished, plan, match_rows(finished, prepared), unlabelled)
    if taken is not None and not set(open_store(stored_images(finished.run)).content_N).isdisjoint(tested):
        reporter.say("reuse: the pre-training is done again, because images to test on were pre-trained on")
        return None
    return taken


def _take_pretraining(
    finished: FinishedRun, plan: Plan, matched: Matched, unlabelled: Unlabelled | None
) -> TakenOver | None:
    """The earlier run's pre-training, where its settings are the same and most images were there."""
    folder = finished.run.stage_folder("pretrain")
    is_same = _learns_alike(finished.plan, plan) and _pretrains_alike(finished, plan, unlabelled)
    if not (folder / DONE).exists() or not is_same or matched.is_new_N.mean() > plan.reuse.retrain_above:
        return None

    def bring(target: Path) -> Iterable[Path]:
        return [_link(folder / "backbone.safetensors", target)]

    return TakenOver(_mark(finished, "pretrain"), bring)


def _take_evidence(
    finished: FinishedRun,
    prepared: Prepared,
    plan: Plan,
    matched: Matched,
    unlabelled: Unlabelled | None,
    *,
    reporter: Reporter,
) -> TakenOver | None:
    """The earlier run's evidence, carried over to the rows as they are now; None where training must be done again."""
    reason = _why_train_again(finished, prepared, plan, matched, unlabelled)
    num_changed, num_new = int(matched.changed_N.sum()), int(matched.is_new_N.sum())
    counts = f"{num_changed:,} labels changed, {num_new:,} images are new"
    if reason:
        reporter.say(f"reuse: {counts}; the networks are trained again, because {reason}")
        return None
    reporter.say(f"reuse: {counts}; the evidence of {finished.root} is taken over, the networks are not trained again")

    def bring(target: Path) -> Iterable[Path]:
        fresh = _look_at_new(finished, prepared, plan, matched)
        for index, weights in enumerate(weight_files(finished)):
            with np.load(weights.with_suffix(".npz"), allow_pickle=False) as record:
                carried = carry_record(record, matched, prepared.table.label_N, fresh[index])
                carried |= _normalisation(record, finished)
            yield write_npz(target / f"net-{index}.npz", carried)
            yield _link(weights, target)

    return TakenOver(_mark(finished, "train-probe"), bring)


def carry_record(
    record: Mapping[str, np.ndarray], matched: Matched, label_N: IntArray, fresh: Mapping[str, FloatArray]
) -> dict[str, np.ndarray]:
    """One network's record for the rows as they are now.

    Args:
        record: The earlier one.
        matched: Which row is which.
        label_N: Labels now.
        fresh: ``z_ND`` and ``log_p_NC`` of the new rows.
    """
    source_N = np.maximum(matched.source_N, 0)
    z_ND, log_p_NC = record["z_ND"][source_N], record["log_p_NC"][source_N]
    z_ND[matched.is_new_N], log_p_NC[matched.is_new_N] = fresh["z_ND"], fresh["log_p_NC"]
    loss_EN, margin_EN = record["loss_EN"][:, source_N], record["margin_EN"][:, source_N]
    judged = np.flatnonzero(matched.changed_N | matched.is_new_N)
    loss_EN[:, judged] = -log_p_NC[judged, label_N[judged]]
    margin_EN[:, judged] = margins(log_p_NC[judged], label_N[judged])
    carried = {"loss_EN": loss_EN, "margin_EN": margin_EN, "log_p_NC": log_p_NC, "z_ND": z_ND}
    if HELD_OUT in record:
        carried[HELD_OUT] = record[HELD_OUT][source_N] & ~matched.is_new_N  # not by chance: they may be noisier
    return carried


def _normalisation(record: Mapping[str, FloatArray], finished: FinishedRun) -> dict[str, FloatArray]:
    """How a network's images were normalised: it is used to that, whatever images there are now."""
    if NORMALISATION[0] in record:
        return {name: record[name] for name in NORMALISATION}
    values = zip(NORMALISATION, finished.normalisation, strict=True)
    return {name: np.asarray(value, dtype=np.float32) for name, value in values}


def _why_train_again(
    finished: FinishedRun, prepared: Prepared, plan: Plan, matched: Matched, unlabelled: Unlabelled | None
) -> str:
    share = float((matched.changed_N | matched.is_new_N).mean())
    if not _learns_alike(finished.plan, plan) or finished.plan.probe != plan.probe:
        return "settings changed"
    if not _pretrains_alike(finished, plan, unlabelled):
        return "the pre-training changed"
    if finished.classes != prepared.table.classes:
        return "the classes changed"
    if share > plan.reuse.retrain_above:
        return f"that is {share:.1%}, more than the {plan.reuse.retrain_above:.0%} of reuse.retrain_above"
    for weights in weight_files(finished):
        if not weights.exists() or not weights.with_suffix(".npz").exists():
            return f"{weights.stem} of {finished.root} is gone"
        with np.load(weights.with_suffix(".npz"), allow_pickle=False) as record:
            if set(record) - LATER != RECORDED:
                return f"{weights.stem} of {finished.root} was recorded by another version"
    return ""


def _learns_alike(before: Plan, now: Plan) -> bool:
    names = ("seed", "backbone", "augment")
    pixels = ("size_px", "policy", "black", "white")
    return all(getattr(before, name) == getattr(now, name) for name in names) and all(
        getattr(before.prepare, name) == getattr(now.prepare, name) for name in pixels
    )


def _pretrains_alike(finished: FinishedRun, now: Plan, unlabelled: Unlabelled | None) -> bool:
    """Whether both pre-train with the same settings and the same unlabelled images, or neither pre-trains at all."""
    if not finished.plan.simclr.epochs and not now.simclr.epochs:
        return True
    done = finished.run.stage_folder("pretrain") / DONE
    before = read_json(done)["inputs"].get(UNLABELLED) if done.exists() else None
    mark = None if unlabelled is None else unlabelled.mark
    return finished.plan.simclr == now.simclr and before == mark


def _look_at_new(
    finished: FinishedRun, prepared: Prepared, plan: Plan, matched: Matched
) -> list[dict[str, FloatArray]]:
    """What each network makes of the new images."""
    rows = np.flatnonzero(matched.is_new_N)
    if not len(rows):
        num_nets, num_classes = plan.probe.num_nets, prepared.table.num_classes
        return [{"z_ND": np.empty((0, 1)), "log_p_NC": np.empty((0, num_classes))}] * num_nets
    from noisyclean.pipeline.nets import AuditNets

    with use_threads(plan.threads):
        nets = AuditNets(finished, choose_runtime(plan.device, threads=plan.threads, dtype=plan.dtype))
        looks = nets.look(prepared.images_NHWI[rows])
    return [{"z_ND": look.z_ND.numpy(), "log_p_NC": look.log_p_NC.numpy()} for look in looks]


def _mark(finished: FinishedRun, stage: str) -> str:
    return str(read_json(finished.run.stage_folder(stage) / DONE)["fingerprint"])


def _link(source: Path, folder: Path) -> Path:
    """Put a file that is never changed into a folder, without a second copy where the disk can."""
    target = folder / source.name
    link_or_copy(str(source), target)
    return target
