"""The command line and the library are two doors of one room: same names, same defaults."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import noisyclean
from noisyclean.cli import (
    audit,
    check,
    corrupt,
    demo,
    diff,
    doctor,
    evaluate,
    export,
    import_weights,
    predict,
    review,
    score,
    train,
)

ONLY_IN_CLI = {"as_json", "context"}
ONLY_IN_LIBRARY = {"reporter"}
ONLY_FUNCTIONS = {"score_labels"}
"""Take arrays and write no files: no command can be their other door."""

PAIRS = {
    "audit": (audit.audit, noisyclean.audit),
    "check": (check.check, noisyclean.check),
    "corrupt": (corrupt.corrupt, noisyclean.corrupt),
    "demo": (demo.demo, noisyclean.demo),
    "diff": (diff.diff, noisyclean.diff),
    "doctor": (doctor.doctor, noisyclean.doctor),
    "evaluate": (evaluate.evaluate, noisyclean.evaluate),
    "export": (export.export, noisyclean.export),
    "import_weights": (import_weights.import_weights, noisyclean.import_weights),
    "predict": (predict.predict, noisyclean.predict),
    "review": (review.review, noisyclean.review),
    "score": (score.score, noisyclean.score),
    "train": (train.train, noisyclean.train),
}


def plain(default: Any) -> Any:
    """Defaults compared by value: a list is an empty tuple's equal, a path its text's."""
    if isinstance(default, Path):
        return str(default)
    return tuple(default) if isinstance(default, list) else default


def parameters(function: Any, ignored: set[str]) -> dict[str, Any]:
    """Names and defaults."""
    found = inspect.signature(function).parameters
    return {name: plain(item.default) for name, item in found.items() if name not in ignored}


@pytest.mark.parametrize("verb", sorted(PAIRS))
def test_same_names_and_defaults(verb: str) -> None:
    command, function = PAIRS[verb]
    assert parameters(command, ONLY_IN_CLI) == parameters(function, ONLY_IN_LIBRARY)


def test_every_public_verb_is_compared() -> None:
    assert set(noisyclean.__all__) - {"__version__"} - ONLY_FUNCTIONS == set(PAIRS)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'audti'"):
        noisyclean.audti  # noqa: B018


@pytest.mark.parametrize(
    "before", ["import noisyclean", "import noisyclean.export.bundle", "from noisyclean.export import bundle"]
)
def test_export_is_the_verb_whatever_was_imported_of_its_room(before: str) -> None:
    code = f"{before}\nfrom noisyclean import export\nimport noisyclean as library\n"
    code += "print(library.export is export, export.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "noisyclean.pipeline.export"]
