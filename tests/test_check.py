"""``check`` and ``--plugin``: a stranger's file meets the contracts of ours, and takes part in a run."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisyclean.detect.contracts import SIGNAL_CONTRACTS
from noisyclean.detect.signal import signals
from noisyclean.registry import plugins
from noisyclean.robust.contracts import METHOD_CONTRACTS, Candidate
from noisyclean.robust.method import methods
from noisyclean.types import Evidence, SignalScore
from tests.conftest import Result, Run
from tests.inputs.conftest import Case, case, rows_of

__all__ = ["case"]

SIGNAL = '''
from dataclasses import dataclass
from typing import ClassVar
from noisyclean.detect.signal import signals, squash
from noisyclean.types import SignalScore

@signals.register("mean_loss")
@dataclass(frozen=True)
class MeanLoss:
    """How large the loss is, on average."""

    needs: ClassVar[frozenset[str]] = frozenset({"loss_EN"})

    def __call__(self, evidence, *, device):
        raw_N = SIGN * evidence.loss_EN.mean(axis=0)
        return SignalScore(raw_N=raw_N, suspicion_N=squash(raw_N))
'''
METHOD = '''
from noisyclean.robust.method import methods
from noisyclean.robust.methods.cross_entropy import CrossEntropy

@methods.register("my-training")
class MyTraining(CrossEntropy):
    """Cross-entropy by another name."""
'''

SETTINGS = '''
from dataclasses import dataclass
from typing import Annotated, ClassVar
from noisyclean.ranges import Range
from noisyclean.robust.method import methods
from noisyclean.robust.methods.cross_entropy import CrossEntropy, CrossEntropySettings

@dataclass(frozen=True, kw_only=True)
class MySettings(CrossEntropySettings):
    """Those of cross-entropy, and one of its own."""

    sharpness: DECLARED = 1.0
    """Of nothing."""

@methods.register("my-training")
class MyTraining(CrossEntropy):
    """Cross-entropy with a setting of its own."""

    settings_type: ClassVar[type] = MySettings

    @classmethod
    def plan(cls, preset, facts):
        settings, reasons = CrossEntropy.plan(preset, facts)
        return MySettings(**vars(settings)), reasons
'''


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_a_good_signal_passes_and_is_listed(cli: Run, tmp_path: Path) -> None:
    plugin = written(tmp_path, SIGNAL.replace("SIGN", "1"))
    done = cli("check", plugin, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["passed"]
    assert [row["promise"] for row in done.json["results"]] == [item.promise for item in SIGNAL_CONTRACTS]
    assert f"next: noisyclean list --plugin {plugin}" in done.stderr
    listed = cli("list", "--plugin", plugin, "--json").json["signals"]
    assert {"name": "mean_loss", "about": "How large the loss is, on average."} in listed
    assert "mean_loss" not in signals.names()


def test_a_signal_with_the_wrong_sign_learns_why(cli: Run, tmp_path: Path) -> None:
    done = cli("check", written(tmp_path, SIGNAL.replace("SIGN", "-1")), "--json")
    assert done.exit_code == 3
    broken = [row for row in done.json["results"] if not row["passed"]]
    assert [row["promise"] for row in broken] == ["finds planted errors"]
    assert "the area under the ROC curve is 0.0" in broken[0]["found"]
    assert "Is the sign the wrong way round?" in done.stderr
    assert "1 of 7 contracts are broken" in done.stderr
    assert "next:" not in done.stderr


def test_a_method_is_checked(cli: Run, tmp_path: Path) -> None:
    done = cli("check", written(tmp_path, METHOD), "--json")
    assert done.exit_code == 0, done.stderr
    assert [row["promise"] for row in done.json["results"]] == [item.promise for item in METHOD_CONTRACTS]
    assert "my-training" not in methods.names()


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = 1", "registers neither a signal nor a method"), ("1 / 0", "mine.py: ZeroDivisionError")],
)
def test_a_file_that_is_no_plugin_is_bad_data(cli: Run, tmp_path: Path, text: str, message: str) -> None:
    done = cli("check", written(tmp_path, text))
    assert done.exit_code == 3
    assert message in done.stderr


def test_a_missing_file_is_a_usage_error(cli: Run, tmp_path: Path) -> None:
    assert cli("check", tmp_path / "nowhere.py").exit_code == 2
    assert cli("list", "--plugin", tmp_path / "nowhere.py").exit_code == 2


def raw(change: Callable[[np.ndarray, Evidence], np.ndarray]) -> Any:
    """A signal whose raw score is changed, undescribed."""

    class Changed:
        def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:
            good = signals.get("logit_margin")()(evidence, device=device)
            raw_N = change(good.raw_N, evidence)
            return SignalScore(raw_N=raw_N, suspicion_N=good.suspicion_N)

    return Changed


def spoiled(scores: np.ndarray, evidence: Evidence) -> np.ndarray:
    evidence.label_N[:] = 0
    return scores


WRONG: dict[str, Any] = {
    "is a described frozen dataclass that names its needs": raw(lambda scores, _: scores),
    "maps its raw score to [0, 1] in strict order": raw(lambda scores, _: np.round(scores)),
    "finds planted errors": raw(lambda scores, _: -scores),
    "is deterministic and leaves the evidence alone": raw(spoiled),
    "does not depend on the order of samples": raw(lambda scores, _: np.arange(len(scores), dtype=float)),
    "survives evidence that says nothing": raw(lambda scores, _: scores[[len(scores)]]),
    "survives a class with one image": raw(
        lambda scores, evidence: scores[[-1000 * (np.bincount(evidence.label_N).min() == 1)]]
    ),
}


@pytest.mark.parametrize("contract", SIGNAL_CONTRACTS, ids=lambda contract: contract.promise)
def test_every_contract_of_signals_can_be_broken(contract: Any) -> None:
    assert contract.what_is_wrong(WRONG[contract.promise])


def test_contracts_of_methods_can_be_broken() -> None:
    class Forgetful(methods.get("cross-entropy")):  # type: ignore[misc]
        def load_state_dict(self, state: Any) -> None:
            pass

        def evidence(self) -> Evidence:
            found: Evidence = super().evidence()
            found.log_p_NC[:1] = np.nan  # type: ignore[index]
            return found

    wrong = {item.promise: item.what_is_wrong(Candidate(Forgetful)) for item in METHOD_CONTRACTS}
    assert (
        "differ from those of a training that was not stopped"
        in wrong["ends with the same weights wherever it was killed"]
    )
    assert "log_p_NC" in wrong["trains and leaves evidence of every image"]
    assert not wrong["keeps most of a clean set"]


def test_a_plugin_signal_is_a_column_and_another_version_of_it_is_another_score(case: Case) -> None:
    plugin = written(case.root, SIGNAL.replace("SIGN", "1"))
    labels = case.table(rows_of())
    assert case.audit(labels, "--plugin", plugin).exit_code == 0
    with (case.root / "run" / "scores.csv").open(newline="", encoding="utf-8") as file:
        before = [float(row["mean_loss"]) for row in csv.DictReader(file)]
    written(case.root, SIGNAL.replace("SIGN", "-1"))
    again = case.audit(labels, "--plugin", plugin)
    assert "score: again, because plugins changed" in again.stderr
    with (case.root / "run" / "scores.csv").open(newline="", encoding="utf-8") as file:
        after = [float(row["mean_loss"]) for row in csv.DictReader(file)]
    assert np.allclose(np.add(before, after), 1)
    without = case.audit(labels)
    assert "score: again, because plugins changed" in without.stderr
    assert "mean_loss" not in (case.root / "run" / "scores.csv").read_text()


def trained(case: Case, *more: object) -> Result:
    """Train by the method that a plugin brings."""
    words = (case.images, case.table(rows_of()), "--out", case.root / "run", "--preset", "quick", "--size", "16")
    return case.cli("train", *words, "--method", "my-training", *more)


def test_a_plugin_says_what_its_settings_may_be(case: Case) -> None:
    plugin = written(case.root, SETTINGS.replace("DECLARED", "Annotated[float, Range(above=0)]"))
    refused = trained(case, "--plugin", plugin, "--set", "robust.sharpness=0")
    assert refused.exit_code == 2
    assert "robust.sharpness=0.0: must be above 0" in refused.stderr
    assert not (case.root / "run").exists()
    contract = next(item for item in METHOD_CONTRACTS if item.promise == "refuses settings out of range")
    with plugins([plugin]):
        assert not contract.what_is_wrong(Candidate(methods.get("my-training")))
    with plugins([written(case.root, SETTINGS.replace("DECLARED", "float"))]):
        found = contract.what_is_wrong(Candidate(methods.get("my-training")))
    assert found == "sharpness of MySettings can be any number"


def test_a_plugin_method_trains(case: Case) -> None:
    plugin = written(case.root, METHOD)
    small = ("--set", "robust.epochs=1", "--set", "robust.batch=4")
    assert trained(case, *small).exit_code == 2
    done = trained(case, *small, "--plugin", plugin, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["method"] == "my-training"
