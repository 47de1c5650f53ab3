"""Find the mislabelled images in a training set, and train a classifier that the noise did not spoil.

The verbs of the command line are functions here, with the same names and defaults. They are imported when first used,
so ``import noisyclean`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisyclean.pipeline.audit import audit as audit
    from noisyclean.pipeline.check import check as check
    from noisyclean.pipeline.corrupt import corrupt as corrupt
    from noisyclean.pipeline.demo import demo as demo
    from noisyclean.pipeline.diff import diff as diff
    from noisyclean.pipeline.doctor import doctor as doctor
    from noisyclean.pipeline.evaluate import evaluate as evaluate
    from noisyclean.pipeline.export import export as export
    from noisyclean.pipeline.import_weights import import_weights as import_weights
    from noisyclean.pipeline.predict import predict as predict
    from noisyclean.pipeline.review import review as review
    from noisyclean.pipeline.score import score as score
    from noisyclean.pipeline.score_labels import score_labels as score_labels
    from noisyclean.pipeline.train import train as train

__version__ = "0.1.0.dev0"

_HOMES = {
    "audit": "noisyclean.pipeline.audit",
    "check": "noisyclean.pipeline.check",
    "corrupt": "noisyclean.pipeline.corrupt",
    "demo": "noisyclean.pipeline.demo",
    "diff": "noisyclean.pipeline.diff",
    "doctor": "noisyclean.pipeline.doctor",
    "evaluate": "noisyclean.pipeline.evaluate",
    "export": "noisyclean.pipeline.export",
    "import_weights": "noisyclean.pipeline.import_weights",
    "predict": "noisyclean.pipeline.predict",
    "review": "noisyclean.pipeline.review",
    "score": "noisyclean.pipeline.score",
    "score_labels": "noisyclean.pipeline.score_labels",
    "train": "noisyclean.pipeline.train",
}

__all__ = [
    "__version__",
    "audit",
    "check",
    "corrupt",
    "demo",
    "diff",
    "doctor",
    "evaluate",
    "export",
    "import_weights",
    "predict",
    "review",
    "score",
    "score_labels",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'noisyclean' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


importlib.import_module("noisyclean.export")  # a docstring; binds the name here, once
del globals()["export"]  # so that noisyclean.export is the verb (docs/decisions/0008-export-is-the-verb.md)
