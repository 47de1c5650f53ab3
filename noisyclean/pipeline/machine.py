"""The device a plan names, and the settings every training on it depends on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from noisyclean.base.runtime import Runtime, at_work, choose_runtime, give_back_memory, memory_kept
from noisyclean.config import Plan
from noisyclean.engine.distributed import Share

__all__ = ["machine", "training_settings"]


@contextmanager
def machine(plan: Plan, *, is_shared: bool = False) -> Iterator[Runtime]:
    """The plan's device, with the plan's number of threads, and in a part that processes share with a share of them.

    Memory freed meanwhile is kept for the next step, and given back in the end.
    """
    threads = max(1, plan.threads // Share.current().num) if is_shared else plan.threads
    runtime = choose_runtime(plan.device, threads=threads, dtype=plan.dtype)
    runtime = replace(runtime, compiles=plan.engine.compile, replays=plan.engine.replay)
    give_back_memory()  # what the net before, in the same stage, held to its end: recorded steps among it
    with memory_kept(), at_work(runtime):
        yield runtime


def training_settings(plan: Plan) -> dict[str, object]:
    """What every training depends on."""
    names = ("seed", "device", "dtype", "threads", "processes", "backbone", "augment")
    return {name: getattr(plan, name) for name in names}
