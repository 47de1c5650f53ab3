"""What every robust method promises, checked by trainings of seconds on pictures of shapes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisyclean.base.contract import Contract, expect
from noisyclean.config import PRESETS
from noisyclean.errors import UsageError
from noisyclean.ranges import check_ranges, names_without_range
from noisyclean.robust.method import Facts, RobustMethod, TrainingData
from noisyclean.robust.replaying import difference, watch_steps
from noisyclean.robust.toy import Killed, KilledAt, make_data, make_small, run, same_weights, small_settings
from noisyclean.types import Evidence

__all__ = ["METHOD_CONTRACTS", "Candidate"]

OUT_OF_RANGE: tuple[dict[str, Any], ...] = ({"lr": 0.0}, {"epochs": 0}, {"weight_decay": -1.0}, {"lr": float("nan")})
KILLED_AT = (1, 3, 2)
"""Steps made before each death."""
REPLAYED_EPOCHS = 6
"""So many that steps of a kind are repeated in several."""
LEAST_BELIEVED = 0.3
"""Share of clean labels that must be believed."""


@dataclass(frozen=True)
class Candidate:
    """A method, and changes to its small settings that take its other branches."""

    kind: type[RobustMethod]
    changes: Mapping[str, Any] = field(default_factory=dict)

    def make(self, data: TrainingData, *, seed: int = 0, **changes: Any) -> RobustMethod:
        """The method, ready to train."""
        return make_small(self.kind, data, seed=seed, **(dict(self.changes) | changes))


def _is_described(candidate: Candidate) -> None:
    kind = candidate.kind
    expect(inspect.getdoc(kind), f"{kind.__name__} has no docstring")
    expect(0 <= kind.published_holdout < 1, f"published_holdout is {kind.published_holdout}, not in [0, 1)")
    expect(isinstance(kind.needs_truth, bool), f"needs_truth is {kind.needs_truth!r}, not True or False")
    for preset in PRESETS:
        for is_pretrained in (False, True):
            facts = Facts(num_classes=30, passes=90, batch=64, is_pretrained=is_pretrained)
            settings, reasons = kind.plan(preset, facts)
            expect(type(settings) is kind.settings_type, f"plan({preset!r}, …) gives a {type(settings).__name__}")
            expect(reasons, f"plan({preset!r}, …) gives no reasons")
            expect(settings.__dataclass_params__.frozen, f"{type(settings).__name__} is not frozen")


def _refuses_settings_out_of_range(candidate: Candidate) -> None:
    kind = candidate.kind
    untold = names_without_range(kind.settings_type)
    expect(not untold, f"{', '.join(untold)} of {kind.settings_type.__name__} can be any number")
    known = {item.name for item in dataclasses.fields(kind.settings_type)}
    for change in OUT_OF_RANGE:
        name, value = next(iter(change.items()))
        if name not in known:
            continue
        try:
            check_ranges("robust", small_settings(kind, **(dict(candidate.changes) | change)))
        except UsageError as error:
            expect(f"robust.{name}" in str(error), f"the error about {name}={value} does not name robust.{name}")
        else:
            expect(False, f"{name}={value} was accepted")


def _trains_and_leaves_evidence(candidate: Candidate) -> None:
    data = make_data()
    method = candidate.make(data)
    history = run(method)
    expect(len(history) == method.num_epochs, f"{len(history)} epochs were trained, not {method.num_epochs}")
    finite = all(np.isfinite(list(figures.values())).all() for figures in history)
    expect(finite, "a figure of an epoch is not finite")
    _is_about_every_image(method.evidence(), len(data.label_N))
    expect(any(method.predictor() is net for net in method.nets()), "predictor() is none of nets()")


def _is_about_every_image(evidence: Evidence, num: int) -> None:
    expect(evidence.log_p_NC is not None, "evidence() has no log_p_NC")
    sums = np.exp(evidence.log_p_NC).sum(axis=1)  # type: ignore[arg-type]
    expect(np.allclose(sums, 1, atol=1e-4), "rows of log_p_NC are not logarithms of probabilities")
    for item in dataclasses.fields(evidence):
        value = getattr(evidence, item.name)
        if isinstance(value, np.ndarray) and item.name != "net_E":
            expect(np.isfinite(value).all(), f"{item.name} of evidence() is not finite everywhere")
            expect(num in value.shape, f"{item.name} of evidence() has shape {value.shape}, {num} images were given")


def _is_deterministic(candidate: Candidate) -> None:
    first, again, other = (candidate.make(make_data(), seed=seed) for seed in (0, 0, 1))
    expect(run(first) == run(again), "the figures of two trainings with one seed differ")
    run(other)
    expect(same_weights(first.predictor(), again.predictor()), "the weights of two trainings with one seed differ")
    expect(not same_weights(first.predictor(), other.predictor()), "another seed gives the same weights")


def _dies(method: RobustMethod, at: int, path: Path) -> bool:
    """Train on from the checkpoint, up to a step; whether there was one."""
    try:
        run(KilledAt(method, at), path)
    except Killed:
        return True
    return False


def _ends_alike_wherever_it_is_killed(candidate: Candidate) -> None:
    data = make_data()
    whole = candidate.make(data)
    history = run(whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        expect(any([_dies(candidate.make(data), at, path) for at in KILLED_AT]), "it makes no step to be stopped at")
        last = candidate.make(data)
        expect(run(last, path) == history, "the figures differ from those of a training that was not stopped")
    for one, other in zip(whole.nets(), last.nets(), strict=True):
        expect(same_weights(one, other), "the weights differ from those of a training that was not stopped")
    for name, value in vars(whole.evidence()).items():
        alike = value is None or np.array_equal(value, getattr(last.evidence(), name))
        expect(alike, f"{name} of evidence() differs from that of a training that was not stopped")


def _survives_a_class_with_one_image(candidate: Candidate) -> None:
    method = candidate.make(make_data(30, label=[row % 2 for row in range(29)] + [2], num_held_out=0))
    run(method)
    loss_EN = method.evidence().loss_EN
    expect(loss_EN is not None and np.isfinite(loss_EN).all(), "loss_EN is missing or not finite everywhere")


def _keeps_most_of_a_clean_set(candidate: Candidate) -> None:
    believed = run(candidate.make(make_data(rate=0.0, num_held_out=0)))[-1].get("believed", 1.0)
    expect(believed >= LEAST_BELIEVED, f"it believes {believed:.0%} of labels that are all right")


def _never_trains_on_held_out_rows(candidate: Candidate) -> None:
    data = make_data()
    changed_N = data.label_N.clone()
    changed_N[len(data.train_T) :] = (changed_N[len(data.train_T) :] + 1) % 3
    one, other = candidate.make(data), candidate.make(dataclasses.replace(data, label_N=changed_N))
    run(one)
    run(other)
    expect(
        same_weights(one.predictor(), other.predictor()), "labels of rows that are not in train_T change the weights"
    )


def _never_doubts_verified_labels(candidate: Candidate) -> None:
    if candidate.kind.needs_truth:
        return
    data = make_data(rate=0.4)
    verified = dataclasses.replace(data, verified_N=torch.ones_like(data.verified_N))
    believed = run(candidate.make(verified))[-1].get("believed", 1.0)
    expect(believed == 1.0, f"it believes {believed:.0%} of labels that are all verified")


def _takes_steps_that_can_be_replayed(candidate: Candidate) -> None:
    method = candidate.make(make_data(), epochs=REPLAYED_EPOCHS)
    for steps in watch_steps(method, method.num_epochs).values():
        found = difference(steps)
        expect(not found, f"in a later step {found}")


_method = functools.partial(Contract[Candidate])

METHOD_CONTRACTS: tuple[Contract[Candidate], ...] = (
    _method(
        "is described and plans every preset",
        "plan() gives settings_type, a frozen dataclass, and the reasons of what it chose; the first line of the "
        "docstring is what `noisyclean list` prints.",
        _is_described,
    ),
    _method(
        "refuses settings out of range",
        "A wrong --set must be told before hours of training: say of each number what it may be, as in "
        "`lr: Annotated[float, Range(above=0)] = 0.1`, with Range of noisyclean.ranges.",
        _refuses_settings_out_of_range,
    ),
    _method(
        "trains and leaves evidence of every image",
        "Held-out images are judged too; the signals read nothing but evidence().",
        _trains_and_leaves_evidence,
    ),
    _method(
        "is deterministic, and another seed is another training",
        "Derive whatever is random from (seed, epoch, step); seed_from of noisyclean.base.randomness does.",
        _is_deterministic,
    ),
    _method(
        "ends with the same weights wherever it was killed",
        "The same command continues a run: whatever outlives a step belongs to state_dict().",
        _ends_alike_wherever_it_is_killed,
    ),
    _method(
        "survives a class with one image",
        "Small classes occur: guard divisions, neighbours and sampling within a class.",
        _survives_a_class_with_one_image,
    ),
    _method(
        "keeps most of a clean set",
        "Labels may all be right; a division into right and wrong must not throw them away then.",
        _keeps_most_of_a_clean_set,
    ),
    _method(
        "never trains on held-out rows",
        "Rows outside train_T judge the training: learn from train_T alone.",
        _never_trains_on_held_out_rows,
    ),
    _method(
        "never doubts verified labels",
        "A person confirmed them: believe the rows of verified_N whatever the losses say.",
        _never_doubts_verified_labels,
    ),
    _method(
        "takes steps that can be replayed",
        "An accelerator repeats a step as it recorded it: write over tensors that a step reads, and give it numbers "
        "that change as tensors (Descent.step).",
        _takes_steps_that_can_be_replayed,
    ),
)
"""In the order they are checked."""
