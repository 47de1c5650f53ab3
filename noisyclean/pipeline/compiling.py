"""Whether a training on an accelerator is long enough for its passes to be compiled first."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from noisyclean.config import EngineConfig, Plan

__all__ = ["choose_engine", "pretraining_views"]

WORTH_COMPILING = 10_000_000 * 32**2
"""Pixels seen in training. On an H200 compiling took 17 s and saved 4.2 ms of a step of 1,024 views of 32 px: even
after 4 million of them (``docs/measurements-gpu.md``)."""
COMPILERS = ("gcc", "clang")
LEAST_CAPABILITY = (7, 0)
"""Of an accelerator that Triton writes code for."""


def pretraining_views(plan: Plan, num: int) -> int:
    """Views that SimCLR sees of ``num`` labelled images and the others it is shown."""
    return plan.simclr.num_views * plan.simclr.epochs * (num + plan.num_unlabelled)


def choose_engine(plan: Plan, num_views: float, asked: Mapping[str, Any]) -> tuple[EngineConfig, dict[str, str]]:
    """Whether to compile, and why; nothing is said of a CPU, where it gains nothing, nor where somebody chose.

    Args:
        plan: Everything else, decided.
        num_views: Images seen in training, forwards and backwards.
        asked: Settings of the engine that somebody chose.
    """
    if plan.device != "cuda" or plan.way != "train" or "compile" in asked:
        return plan.engine, {}
    is_long = num_views * plan.prepare.size_px**2 >= WORTH_COMPILING
    amount = f"{num_views / 1e6:.1f} million views to train on"
    if not is_long:
        return replace(plan.engine, compile=False), {"engine": f"not compiled: {amount} are soon done"}
    missing = [name for name, is_there in _needed().items() if not is_there]
    reason = f"not compiled: no {' and no '.join(missing)} here, for {amount}" if missing else f"compiled: {amount}"
    return replace(plan.engine, compile=not missing), {"engine": reason}


def _needed() -> dict[str, bool]:
    """What torch compiles for an accelerator with, and whether it is there."""
    compilers = (os.environ.get("CC", "cc"), *COMPILERS)
    return {
        "Triton": importlib.util.find_spec("triton") is not None,
        "C compiler": any(map(shutil.which, compilers)),
        "Python.h": (Path(sysconfig.get_path("include")) / "Python.h").is_file(),
        "accelerator of Triton's": torch.cuda.get_device_capability() >= LEAST_CAPABILITY,
    }
