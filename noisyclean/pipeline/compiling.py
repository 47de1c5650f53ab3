"""Whether a training on an accelerator is long enough for its passes to be compiled first."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace

from noisyclean.config import EngineConfig, Plan

__all__ = ["with_compiling"]

WORTH_COMPILING = 10_000_000 * 32**2
"""Pixels seen in training. On an H200 compiling took 17 s and saved 4.2 ms of a step of 1,024 views of 32 px: even
after 4 million of them (``docs/measurements-gpu.md``)."""
COMPILERS = ("cc", "gcc", "clang")


def with_compiling(plan: Plan, num_views: float, *, is_asked: bool) -> Plan:
    """The plan with ``engine.compile`` chosen, and why; on a CPU, where it gains nothing, it is left as it is.

    Args:
        plan: Everything else, decided.
        num_views: Images seen in training, forwards and backwards.
        is_asked: Whether somebody set the engine.
    """
    if plan.device != "cuda" or is_asked:
        return plan
    is_long = num_views * plan.prepare.size_px**2 >= WORTH_COMPILING
    can_compile = importlib.util.find_spec("triton") is not None and any(map(shutil.which, COMPILERS))
    amount = f"{num_views / 1e6:.1f} million views to train on"
    reason = f"not compiled: {amount} are soon done" if not is_long else f"compiled: {amount}"
    if is_long and not can_compile:
        reason = f"not compiled: {amount}, but there is no Triton or no C compiler"
    return replace(
        plan,
        engine=EngineConfig(compile=is_long and can_compile),
        reasons={**plan.reasons, "engine": reason},
    )
