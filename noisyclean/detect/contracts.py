"""What every signal promises, checked on evidence whose wrong labels are known."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax
from scipy.stats import spearmanr

from noisyclean.base.contract import Contract, expect
from noisyclean.detect.signal import Signal
from noisyclean.ops.metrics import detection_metrics
from noisyclean.ops.pooling import margins
from noisyclean.types import BoolArray, Evidence, IntArray, SignalScore

__all__ = ["SIGNAL_CONTRACTS", "planted_evidence"]

NUM, NUM_CLASSES = 300, 3
LEAST_AUROC = 0.9
CPU = torch.device("cpu")


def planted_evidence(seed: int = 0, *, num: int = NUM, strength: float = 4.0) -> tuple[Evidence, BoolArray]:
    """Evidence of a fair net on labels of which a fifth is wrong, and which those are.

    Args:
        seed: Of everything drawn.
        num: N.
        strength: Of the true class among the logits, in standard deviations of the others.
    """
    generator = np.random.default_rng(seed)
    true_N = np.arange(num) % NUM_CLASSES
    wrong_N = generator.random(num) < 0.2
    label_N = np.where(wrong_N, (true_N + 1) % NUM_CLASSES, true_N).astype(np.int64)
    logits = generator.normal(0, 1, (2, num, NUM_CLASSES))
    logits[:, np.arange(num), true_N] += strength
    log_p = log_softmax(logits, axis=2)
    given = log_p[:, np.arange(num), label_N]
    mean_log_p = log_p.mean(axis=0)
    z = generator.normal(0, 0.5, (num, 8))
    z[np.arange(num), true_N] += 2
    evidence = Evidence(
        label_N=label_N,
        num_classes=NUM_CLASSES,
        z_ND=(z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32),
        votes_NC=np.exp(log_p[0]).astype(np.float32),
        second_votes_NC=np.exp(log_p[1]).astype(np.float32),
        log_p_NC=mean_log_p,
        outside_log_p_NC=log_p[0],
        loss_EN=-given,
        margin_EN=np.stack([margins(one, label_N) for one in log_p]),
        net_E=np.zeros(2, dtype=np.int64),
        disagreement_N=np.clip(generator.normal(0.2 + 0.5 * wrong_N, 0.1), 0, 0.99),
        division_N=-margins(mean_log_p, label_N),
        target_NC=np.exp(log_p[0]),
        neighbour_disagreement_N=-given.mean(axis=0),
    )
    return evidence, wrong_N


def _score(kind: type[Signal], evidence: Evidence) -> SignalScore:
    make: Callable[[], Signal] = kind
    return make()(evidence, device=CPU)


def _is_described(kind: type[Signal]) -> None:
    parameters = getattr(kind, "__dataclass_params__", None)
    expect(parameters is not None and parameters.frozen, f"{kind.__name__} is no @dataclass(frozen=True)")
    written = inspect.getdoc(kind) or ""
    expect(written and not written.startswith(f"{kind.__name__}("), f"{kind.__name__} has no docstring of its own")
    known = {field.name for field in dataclasses.fields(Evidence)}
    needs = frozenset(getattr(kind, "needs", ()))
    expect(needs, "needs is empty or missing")
    expect(needs <= known, f"needs names {', '.join(sorted(needs - known))}; there are {', '.join(sorted(known))}")


def _is_ordered_as_its_raw_score(kind: type[Signal]) -> None:
    got = _score(kind, planted_evidence()[0])
    shapes = got.raw_N.shape, got.suspicion_N.shape
    expect(shapes == ((NUM,), (NUM,)), f"the shapes of raw_N and suspicion_N are {shapes}, not ({NUM},)")
    expect(np.isfinite(got.raw_N).all(), "raw_N is not finite everywhere")
    least, most = got.suspicion_N.min(), got.suspicion_N.max()
    expect(least >= 0 and most <= 1, f"suspicion_N reaches from {least:.3g} to {most:.3g}")
    order = np.argsort(got.raw_N, kind="stable")
    raw, suspicion = got.raw_N[order], got.suspicion_N[order]
    rising = np.diff(raw) > 1e-9
    expect((np.diff(suspicion)[rising] > 0).all(), "suspicion_N ties or falls where raw_N rises")
    expect(np.allclose(np.diff(suspicion)[~rising], 0, atol=1e-8), "suspicion_N differs where raw_N is equal")


def _finds_planted_errors(kind: type[Signal]) -> None:
    evidence, wrong_N = planted_evidence()
    auroc = detection_metrics(_score(kind, evidence).raw_N, wrong_N)["auroc"] or 0
    expect(auroc > LEAST_AUROC, f"the area under the ROC curve is {auroc:.3f}, not above {LEAST_AUROC}")


def _is_deterministic(kind: type[Signal]) -> None:
    evidence, _ = planted_evidence()
    before = {field.name: np.array(getattr(evidence, field.name)) for field in dataclasses.fields(evidence)}
    first, again = _score(kind, evidence), _score(kind, evidence)
    expect((first.raw_N == again.raw_N).all(), "two calls on the same evidence differ")
    changed = [name for name, value in before.items() if not np.array_equal(value, np.array(getattr(evidence, name)))]
    expect(not changed, f"it changed {', '.join(changed)} of the evidence")


def _does_not_depend_on_order(kind: type[Signal]) -> None:
    evidence, _ = planted_evidence()
    order: IntArray = np.random.default_rng(1).permutation(NUM)
    fields = {field.name: getattr(evidence, field.name) for field in dataclasses.fields(evidence)}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray) and name != "net_E"}
    mixed: dict[str, Any] = {
        name: value[:, order] if name.endswith("_EN") else value[order] for name, value in arrays.items()
    }
    shuffled = _score(kind, dataclasses.replace(evidence, **mixed))
    correlation = spearmanr(_score(kind, evidence).raw_N[order], shuffled.raw_N).statistic
    expect(correlation > 0.999, f"rank correlation with the scores of shuffled samples is {correlation:.3f}")


def _survives_evidence_that_says_nothing(kind: type[Signal]) -> None:
    evidence, _ = planted_evidence()
    flat = dataclasses.replace(
        evidence,
        z_ND=np.full((NUM, 8), 8**-0.5, dtype=np.float32),
        votes_NC=np.full((NUM, NUM_CLASSES), 1 / NUM_CLASSES, dtype=np.float32),
        second_votes_NC=np.full((NUM, NUM_CLASSES), 1 / NUM_CLASSES, dtype=np.float32),
        loss_EN=np.ones((2, NUM)),
        margin_EN=np.zeros((2, NUM)),
        disagreement_N=np.zeros(NUM),
    )
    expect(np.isfinite(_score(kind, flat).suspicion_N).all(), "suspicion_N is not finite everywhere")


def _survives_a_class_with_one_image(kind: type[Signal]) -> None:
    evidence, _ = planted_evidence()
    label_N = np.array(evidence.label_N)
    label_N[label_N == 2] = 0
    label_N[0] = 2
    got = _score(kind, dataclasses.replace(evidence, label_N=label_N))
    expect(np.isfinite(got.suspicion_N).all(), "suspicion_N is not finite everywhere")


_signal = functools.partial(Contract[type[Signal]])

SIGNAL_CONTRACTS: tuple[Contract[type[Signal]], ...] = (
    _signal(
        "is a described frozen dataclass that names its needs",
        "Its fields are its options, its first line is what `noisyclean list` prints, and it is left out where the "
        "arrays of Evidence that `needs` names were not recorded.",
        _is_described,
    ),
    _signal(
        "maps its raw score to [0, 1] in strict order",
        "Suspicion is a strictly monotone map of the raw score, without ties; `squash` of noisyclean.detect.signal is "
        "one for the whole real line.",
        _is_ordered_as_its_raw_score,
    ),
    _signal(
        "finds planted errors",
        "Higher is worse: wrong labels must score above right ones. Is the sign the wrong way round?",
        _finds_planted_errors,
    ),
    _signal(
        "is deterministic and leaves the evidence alone",
        "The same evidence gives the same scores. Seed what is random, and copy an array before changing it.",
        _is_deterministic,
    ),
    _signal(
        "does not depend on the order of samples",
        "A table's order says nothing about its labels.",
        _does_not_depend_on_order,
    ),
    _signal(
        "survives evidence that says nothing",
        "Losses may all be equal and features all the same: return finite values then.",
        _survives_evidence_that_says_nothing,
    ),
    _signal(
        "survives a class with one image",
        "Small classes occur: guard means, neighbours and mixtures within a class.",
        _survives_a_class_with_one_image,
    ),
)
"""In the order they are checked."""
