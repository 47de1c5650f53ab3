"""Whether a training on an accelerator is long enough for its passes to be compiled first."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from noisyclean.config import EngineConfig, Plan

__all__ = ["choose_engine", "pretraining_views"]

WORTH_COMPILING = 10_000_000 * 32**2
"""Pixels seen in training. On an H200 compiling took 17 s and saved 4.2 ms of a step of 1,024 views of 32 px: even
after 4 million of them (``docs/measurements-gpu.md``)."""
COMPILERS = ("cc", "gcc", "clang")


def pretraining_views(plan: Plan, num: int) -> int:
    """Views that SimCLR sees of ``num`` labelled images and the others it is shown."""
    return 2 * plan.simclr.epochs * (num + plan.num_unlabelled)


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
    can_compile = importlib.util.find_spec("triton") is not None and any(map(shutil.which, COMPILERS))
    amount = f"{num_views / 1e6:.1f} million views to train on"
    reason = f"not compiled: {amount} are soon done" if not is_long else f"compiled: {amount}"
    if is_long and not can_compile:
        reason = f"not compiled: {amount}, but there is no Triton or no C compiler"
    return replace(plan.engine, compile=is_long and can_compile), {"engine": reason}
