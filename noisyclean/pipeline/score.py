"""``score``: new arrivals judged against a finished audit, in minutes, without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisyclean.base.files import refuse_place, write_text
from noisyclean.base.log import Reporter, Silent
from noisyclean.base.runtime import choose_runtime, memory_kept, use_threads
from noisyclean.base.shortage import shortages_told
from noisyclean.data.ingest import Ingested, IngestOptions, select_rows
from noisyclean.data.journal import open_store
from noisyclean.data.stream import decode_in_blocks
from noisyclean.data.tables import read_table
from noisyclean.detect.arrivals import Channel, confusion_of_given, fit_channel
from noisyclean.detect.certain import OFF_TOPIC, settle_conflicts
from noisyclean.detect.fuse import MISLABELLED, THRESHOLD, best_other
from noisyclean.detect.signal import squash
from noisyclean.engine.neighbours import neighbours_among
from noisyclean.errors import DataError, UsageError
from noisyclean.ops.knn import MOST_AGAINST, bounded_num_neighbours, vote_against, votes
from noisyclean.pipeline.finished import FinishedRun, open_finished, weight_files
from noisyclean.pipeline.gate import check_gate, pass_gate
from noisyclean.pipeline.nets import AuditNets
from noisyclean.pipeline.preparing import (
    pixel_mapping,
    quarantine_csv,
    read_aloud,
    refuse_too_many,
    stored_images,
)
from noisyclean.pipeline.rounds import inherit_options
from noisyclean.pipeline.rundir import refuse_inside
from noisyclean.report.flags import score_table, to_csv
from noisyclean.types import FloatArray, IntArray, LabelTable, NoiseEstimate, SampleStats, SignalScore, StrArray

__all__ = ["score"]

SCHEMA_VERSION = 1
SCORED = "image_path,given_label,suggested_label,p_mislabeled,"
"""How a table of scores begins."""
FITTED_ROWS = 5_000
"""Audited images the two exponents are fitted on."""
SMALLEST = 1e-300
"""Probability below which classes are no longer told apart."""


def score(
    run: str | Path,
    new: str | Path,
    *,
    images: str | Path | None = None,
    out: str | Path | None = None,
    fail_above: float | None = None,
    encoding: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    class_level: int | None = None,
    strip_prefix: str | None = None,
    max_bad: float = 0.1,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Judge the labels of new images with what an audit learned.

    Args:
        run: A finished audit.
        new: Table of new images and their labels, or a folder per class.
        images: Folder of the new images; the table's by default, else the audited one.
        out: The scores; ``NEW.scores.csv`` in the working directory by default.
        fail_above: Largest estimated share of wrong labels that passes.
        encoding: Of the table.
        image_column: Name of the column of paths.
        label_column: Name of the column of labels.
        class_level: Which level of folders names the class.
        strip_prefix: Taken off every path of the table before it is looked for.
        max_bad: Largest share of unusable rows to go on with.
        reporter: Hears about messages and progress.

    Returns:
        Counts, the estimated share of wrong labels, ``passed``: whether it is at most ``fail_above``, and ``images``:
        the folder the images were looked for in.

    Raises:
        UsageError: The run is not finished, or ``out`` would replace something else.
        DataError: The table or the images cannot be used.
        EnvironmentProblem: The machine is short of something.
    """
    reporter = reporter or Silent()
    finished = open_finished(Path(run))
    check_gate(fail_above)
    options = IngestOptions(
        encoding=encoding,
        image_column=image_column,
        label_column=label_column,
        class_level=class_level,
        strip_prefix=strip_prefix,
    )
    options.require_sense(None if Path(new).is_dir() else Path(new))
    folder, ingested = _read(finished, Path(new), Path(images) if images else None, options, reporter)
    target = Path(out) if out else Path(f"{Path(new).resolve().stem}.scores.csv")
    _refuse_target(finished, folder, target)
    refuse_too_many(ingested, ingested.problem_N, max_bad)
    seen = _look(finished, ingested, reporter)
    problem_N = ingested.problem_N.copy()
    problem_N[problem_N == ""] = seen.failure_N
    refuse_too_many(ingested, problem_N, max_bad)
    usable_N = problem_N == ""
    stats = _judge(finished, select_rows(ingested.table, usable_N), seen)
    write_text(target, to_csv(score_table(ingested.table, stats, usable_N)))
    _list_unusable(ingested, problem_N, target, reporter)
    found = _summary(stats, ingested, target, int((~usable_N).sum()), fail_above)
    return found | {"images": str(folder)}


def _refuse_target(finished: FinishedRun, images: Path, out: Path) -> None:
    """Scores of arrivals replace scores of arrivals and nothing else."""
    refuse_place(out)
    refuse_inside(images, out)
    refuse_inside(finished.images, out)
    is_ours = not out.exists() or out.read_bytes()[: len(SCORED)] == SCORED.encode()
    if not is_ours or out.resolve() == (finished.root / "scores.csv").resolve():
        raise UsageError(f"--out {out}: is there already and holds no scores of arrivals", hint="Name another file.")


def _list_unusable(ingested: Ingested, problem_N: StrArray, target: Path, reporter: Reporter) -> None:
    """Write why rows cannot be judged beside the scores; nothing where all can."""
    listed = target.with_name(f"{target.stem}.quarantine.csv")
    num = int((problem_N != "").sum()) + len(ingested.left_out)
    if not num:
        listed.unlink(missing_ok=True)
        return
    write_text(listed, quarantine_csv(ingested, problem_N), encoding="utf-8-sig")
    reporter.warn(f"{num:,} rows cannot be judged; {listed} says why")


@dataclass(frozen=True)
class _Seen:
    """What the networks make of the rows that could be looked at."""

    p_NC: FloatArray
    z_ND: FloatArray
    margin_NC: FloatArray
    """Log-odds of each class against the best other one, averaged over the networks."""
    content_N: StrArray
    failure_N: StrArray
    """Why a row could not be looked at; as long as the rows without an earlier problem."""


def _read(
    finished: FinishedRun, new: Path, images: Path | None, options: IngestOptions, reporter: Reporter
) -> tuple[Path, Ingested]:
    """Read the arrivals with the run's classes, looking for the images where they may be."""
    is_table = not new.is_dir()
    folders = [images] if images is not None else [new.parent, finished.images] if is_table else [new]
    if is_table:
        table = read_table(new, encoding=options.encoding or finished.options.encoding)
        options = inherit_options(finished, options, reporter, table=table)
    folders = [folder for folder in folders if folder.is_dir()] or folders[-1:]
    for folder in folders:
        try:
            labels = new if is_table else None
            ingested = read_aloud(folder, labels, options, classes=finished.classes, reporter=reporter)
        except DataError:
            if folder == folders[-1]:
                raise
            continue
        break
    return folder, ingested


def _look(finished: FinishedRun, ingested: Ingested, reporter: Reporter) -> _Seen:
    """Decode the arrivals and show them to the run's networks, block by block."""
    plan = finished.plan
    files = ingested.table.file_N[ingested.problem_N == ""].tolist()
    p_parts: list[FloatArray] = []
    z_parts: list[FloatArray] = []
    margin_parts: list[FloatArray] = []
    content: list[str] = []
    failure: list[str] = []
    with (
        use_threads(plan.threads),
        memory_kept(),
        shortages_told("score"),
        reporter.track("score", total=len(files), unit="images") as meter,
    ):
        nets = AuditNets(finished, choose_runtime(plan.device, threads=plan.threads, dtype=plan.dtype))
        for block in decode_in_blocks(files, pixel_mapping(plan), threads=plan.threads):
            good = np.asarray([not reason for reason in block.failure_B])
            failure += block.failure_B
            content += [value for value in block.content_B if value]
            if good.any():
                looks = nets.look(block.images_BHWI[good])
                log_p = np.stack([look.log_p_NC.numpy() for look in looks])
                p_parts.append(np.exp(log_p).mean(axis=0))
                margin_parts.append(_margins(log_p).mean(axis=0))
                z_parts.append(torch.cat([look.z_ND for look in looks], dim=1).numpy() / len(looks) ** 0.5)
            meter.advance(len(block.failure_B))
    if not p_parts:
        raise DataError(f"not one of {len(files):,} images can be read; the first {failure[0] if failure else ''}")
    return _Seen(
        p_NC=np.concatenate(p_parts),
        z_ND=np.concatenate(z_parts),
        margin_NC=np.concatenate(margin_parts),
        content_N=np.asarray(content, dtype=object),
        failure_N=np.asarray(failure, dtype=object),
    )


def _margins(log_p: FloatArray) -> FloatArray:
    """Log-odds of each class against the best other one, along the last axis."""
    top = np.sort(log_p, axis=-1)[..., -2:]
    best_other = np.where(log_p == top[..., 1:], top[..., :1], top[..., 1:])
    margins: FloatArray = log_p - best_other
    return margins


def _judge(finished: FinishedRun, table: LabelTable, seen: _Seen) -> SampleStats:
    """The verdict on every arrival."""
    known = _Known.of(finished)
    channel = _fit(finished, known)
    votes_NC = known.votes(seen.z_ND)
    belief_NC = channel.believe(seen.p_NC, votes_NC)
    posterior_NC = channel.judge(belief_NC, table.label_N)
    rows = np.arange(len(table))
    p_N = 1 - posterior_NC[rows, table.label_N]
    suggestion_N, share_N = best_other(np.log(np.maximum(posterior_NC, SMALLEST)), table.label_N)
    flagged_N = p_N > THRESHOLD
    against_N = vote_against(torch.from_numpy(votes_NC), torch.from_numpy(table.label_N)).double().numpy()
    margin_N = -seen.margin_NC[rows, table.label_N]
    rate = float(p_N.mean())
    stats = SampleStats(
        p_mislabeled_N=p_N,
        p_NC=belief_NC,
        suggestion_N=suggestion_N,
        p_suggested_N=p_N * share_N,
        flagged_N=flagged_N,
        issue_N=np.where(flagged_N, MISLABELLED, "").astype(object),
        reason_N=np.full(len(table), "", dtype=object),
        signals={
            "logit_margin": SignalScore(raw_N=margin_N, suspicion_N=squash(margin_N)),
            "knn_disagreement": SignalScore(raw_N=against_N, suspicion_N=np.minimum(against_N / MOST_AGAINST, 1)),
        },
        noise=NoiseEstimate(rate=rate, low=rate, high=rate, transition_CC=np.eye(table.num_classes)),
    )
    rival_N = known.rivals(seen.content_N, table.label_N)
    nothing = np.full(len(table), "", dtype=object)
    return settle_conflicts(
        stats, table.label_N, rival_N=rival_N, is_settled_N=np.zeros(len(table), dtype=bool), reason_N=nothing
    )


@dataclass(frozen=True)
class _Known:
    """The audited images: their features, and their labels where the audit believes them, its suggestion elsewhere.

    Without those that show nothing: no label is right for them.
    """

    row_N: IntArray
    """Which rows of the run's records they are."""
    z_ND: FloatArray
    label_N: IntArray
    given_N: IntArray
    content_N: StrArray
    num_neighbours: int
    num_classes: int

    @classmethod
    def of(cls, finished: FinishedRun) -> _Known:
        scores = finished.scores[finished.scores["p_mislabeled"] != ""]
        row_N = np.flatnonzero(scores["issue_type"] != OFF_TOPIC)
        scores = scores.iloc[row_N]
        index = {name: position for position, name in enumerate(finished.classes)}
        given_N: IntArray = np.asarray(scores["given_label"].map(index), dtype=np.int64)
        suggested_N: IntArray = np.asarray(scores["suggested_label"].map(index), dtype=np.int64)
        is_doubted_N = (scores["flagged"] == "true") & (scores["p_mislabeled"].astype(float) > THRESHOLD)
        believed_N = np.where(is_doubted_N, suggested_N, given_N)
        store = open_store(stored_images(finished.run))
        with np.load(finished.root / "embeddings.npz", allow_pickle=False) as arrays:
            z_ND = arrays["z_ND"][row_N]
        sizes_C = torch.bincount(torch.from_numpy(believed_N), minlength=len(index))
        k = bounded_num_neighbours(finished.plan.score.num_neighbours, sizes_C)
        content_N = store.content_N[store.failure_N == ""][row_N]
        return cls(row_N, z_ND, believed_N, given_N, content_N, k, len(index))

    def votes(self, z_MD: FloatArray, *, own_row_M: IntArray | None = None) -> FloatArray:
        """Shares of the classes among the audited neighbours of some images, which may be audited ones themselves."""
        index_MK = neighbours_among(
            torch.from_numpy(z_MD),
            torch.from_numpy(self.z_ND),
            num_neighbours=self.num_neighbours,
            own_row_M=None if own_row_M is None else torch.from_numpy(own_row_M),
        )
        shares_MC: FloatArray = votes(index_MK, torch.from_numpy(self.label_N), self.num_classes).numpy()
        return shares_MC

    def rivals(self, content_M: StrArray, label_M: IntArray) -> IntArray:
        """The believed label of an audited picture that is the same to the byte but labelled otherwise; -1 for none."""
        by_content = dict(zip(self.content_N, self.label_N, strict=True))
        known_M = np.asarray([by_content.get(content, -1) for content in content_M], dtype=np.int64)
        return np.where(known_M == label_M, -1, known_M)


def _fit(finished: FinishedRun, known: _Known) -> Channel:
    """Fit the exponents on some of the audited images."""
    rows: IntArray = np.arange(len(known.given_N))[:: max(1, len(known.given_N) // FITTED_ROWS)]
    records = [
        np.exp(np.load(weights.with_suffix(".npz"), allow_pickle=False)["log_p_NC"][known.row_N[rows]])
        for weights in weight_files(finished)
    ]
    count_C = np.bincount(known.given_N, minlength=known.num_classes)
    channel_CC = confusion_of_given(np.asarray(finished.summary["transition_matrix"]), count_C)
    votes_NC = known.votes(known.z_ND[rows], own_row_M=rows)
    return fit_channel(np.mean(records, axis=0), votes_NC, known.given_N[rows], channel_CC)


def _summary(
    stats: SampleStats, ingested: Ingested, out: Path, num_bad: int, fail_above: float | None
) -> dict[str, Any]:
    rate = float(stats.p_mislabeled_N.mean())
    gate = pass_gate(rate, fail_above)
    num, num_flagged = len(stats.flagged_N), int(stats.flagged_N.sum())
    verdict = f"About {rate:.1%} of {num:,} new labels are wrong; {num_flagged:,} are flagged in {out}."
    if fail_above is not None:
        verdict += f" {'At most' if gate['passed'] else 'More than'} the {fail_above:.1%} allowed."
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "num_images": num,
        "num_quarantined": num_bad + len(ingested.left_out),
        "num_flagged": num_flagged,
        "noise_rate": {"estimate": rate},
        **gate,
        "out": str(out),
        "input": ingested.facts,
    }
