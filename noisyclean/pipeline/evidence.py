"""Evidence as a file of a stage."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from noisyclean.base.files import write_npz
from noisyclean.types import Evidence

__all__ = ["EVIDENCE", "read_evidence", "write_evidence"]

EVIDENCE = "evidence.npz"


def write_evidence(path: Path, evidence: Evidence) -> Path:
    """Write the arrays that were recorded; returns the path."""
    return write_npz(path, {name: value for name, value in vars(evidence).items() if isinstance(value, np.ndarray)})


def read_evidence(path: Path, *, num_classes: int) -> Evidence:
    """Read what :func:`write_evidence` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        known = {item.name for item in fields(Evidence)}
        return Evidence(num_classes=num_classes, **{name: arrays[name] for name in known & set(arrays)})
