"""Where the numbers are computed: device, dtype, threads and seeded generators, each choice with its reason."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec

import torch
from torch import Tensor

from noisyclean.base.randomness import seed_from
from noisyclean.errors import EnvironmentProblem, UsageError

__all__ = [
    "NO_FLOAT64",
    "Runtime",
    "at_work",
    "available_cores",
    "choose_runtime",
    "coarsely",
    "cpu_has_tiles",
    "exactly",
    "generator",
    "give_back_memory",
    "keep_freed_memory",
    "memory_kept",
    "use_threads",
]


Given = ParamSpec("Given")

NO_FLOAT64 = "has no float64, which judging labels needs"

LIMITS = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")
"""Variables that limit the cores; ``torchrun`` sets the first to 1 by itself, which says nothing."""
PRODUCT_SIDE, PRODUCT_REPEATS = 512, 7
"""Of the products that tell whether bfloat16 is faster."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names of glibc's malloc.h."""
KEPT_BYTES = 2**30
"""Freed memory at the end of the heap above this is given back."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The device a run computes on, decided once and stored in the plan."""

    device: torch.device
    dtype: torch.dtype
    """Of autocast regions; float32 switches autocast off."""
    threads: int
    reasons: dict[str, str]
    compiles: bool = False
    """Whether training's forward and backward passes are compiled."""
    replays: bool = True
    """Whether an accelerator replays its training steps as recorded."""
    suits_convolutions: bool = True
    """Whether a CPU may convolve in ways of its own."""

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Run the block's convolutions and products in ``dtype``."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            yield

    def compiled(self, function: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
        """A function of a net and a batch, compiled where that is wanted: its operations are fused.

        Args:
            function: One that lives as long as its module; each shape of a batch is compiled for itself.
        """
        return _compiled(function) if self.compiles else function


def choose_runtime(device: str = "auto", *, threads: int | None = None, dtype: str = "auto") -> Runtime:
    """Choose device, dtype and thread count, with reasons.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: CPU threads; all cores this process may use by default.
        dtype: ``auto``, ``bfloat16`` or ``float32``.

    Raises:
        UsageError: An unknown device name.
        EnvironmentProblem: The device asked for is not there.
    """
    name, device_reason = _choose_device(device)
    torch_dtype, dtype_reason = _choose_dtype(name, dtype)
    num_cores, cores_reason = available_cores()
    return Runtime(
        device=torch.device(name, torch.cuda.current_device()) if name == "cuda" else torch.device(name),
        dtype=torch_dtype,
        threads=threads or num_cores,
        reasons={
            "device": device_reason,
            "dtype": dtype_reason,
            "threads": f"{threads}: as asked" if threads else f"{num_cores}: {cores_reason}",
        },
    )


def available_cores() -> tuple[int, str]:
    """Cores this process may use and who says so; a user's and a scheduler's limit count."""
    for name in LIMITS:
        limit = os.environ.get(name, "").split(",")[0].strip()  # OpenMP has one for each nested level
        is_torchruns = name == LIMITS[0] and "TORCHELASTIC_RUN_ID" in os.environ
        if limit.isdigit() and int(limit) > 0 and not is_torchruns:
            return int(limit), name
    affinity = getattr(os, "sched_getaffinity", None)
    num = len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    return num, "the cores this process may use"


def _choose_device(device: str) -> tuple[str, str]:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        if present["cuda"]:
            return "cuda", "cuda: an accelerator is there"
        return "cpu", "cpu: " + (f"mps {NO_FLOAT64}" if present["mps"] else "no accelerator was found")
    if device not in present:
        raise UsageError(f"--device {device}: unknown", hint="Choose one of auto, cpu, cuda, mps.")
    if not present[device]:
        raise EnvironmentProblem(f"--device {device}: torch finds no such device here", hint="Try --device auto.")
    return device, f"{device}: as asked"


def _choose_dtype(device: str, dtype: str) -> tuple[torch.dtype, str]:
    if dtype != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[dtype], f"{dtype}: as asked"
    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "bfloat16: this accelerator multiplies it natively"
    if device == "cpu" and cpu_has_tiles():
        return torch.bfloat16, "bfloat16: this CPU multiplies it in tiles (AMX)"
    if device != "cpu" or not _cpu_says("_is_avx512_bf16_supported"):
        return torch.float32, f"float32: bfloat16 is not native on this {device} device"
    if bfloat16_is_faster():
        return torch.bfloat16, "bfloat16: this CPU multiplies it faster than float32 (measured)"
    return torch.float32, "float32: this CPU multiplies bfloat16 no faster (measured)"


@functools.cache
def bfloat16_is_faster() -> bool:
    """Whether this CPU, which has instructions for bfloat16 (AVX512-BF16), gains by them.

    Some multiply with them at half the rate of float32, others at twice that rate or more, so that the fastest of a few
    products by turns, which take a fiftieth of a second, tells one from the other on a busy machine too.
    """
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    factors = [torch.ones(PRODUCT_SIDE, PRODUCT_SIDE, dtype=dtype) for dtype in seconds]
    for factor in factors * PRODUCT_REPEATS:
        start = time.perf_counter()
        torch.mm(factor, factor)
        seconds[factor.dtype].append(time.perf_counter() - start)
    return min(seconds[torch.bfloat16]) < min(seconds[torch.float32])


def cpu_has_tiles() -> bool:
    """Whether this CPU multiplies matrices tile by tile (AMX)."""
    return _cpu_says("_is_amx_tile_supported")


def _cpu_says(name: str) -> bool:
    """What a check of torch's says, False where this version has none."""
    check = getattr(torch.cpu, name, None)
    return check is not None and bool(check())


@functools.cache
def _compiled(function: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
    compiled: Callable[Given, Tensor] = torch.compile(function, dynamic=False)
    return compiled


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Compute with this many CPU threads inside the block; results depend on the count, so the plan fixes it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def at_work(runtime: Runtime) -> Iterator[None]:
    """Train inside the block: with the runtime's threads, and on an accelerator with the convolution that was fastest.

    cuDNN tries its algorithms on the first batch of each shape.
    """
    with use_threads(runtime.threads), torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True):
        yield


@contextmanager
def exactly(runtime: Runtime) -> Iterator[None]:
    """Compute float32 to its last digit inside the block, with the runtime's threads.

    An accelerator would round convolutions, and products where somebody asked for that, to TF32's ten bits.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with use_threads(runtime.threads), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def coarsely(device: torch.device) -> Iterator[None]:
    """Let an accelerator round the factors of float32 products to TF32 inside the block; its matrix units take them."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def keep_freed_memory() -> bool:
    """Let the process keep memory it freed, so that the next step need not ask the system for zeroed pages again.

    Measured on 2 cores: about 5 % more SimCLR steps (``docs/measurements-speed.md``).
    Only glibc knows how; elsewhere nothing changes.

    Returns:
        Whether the C library took both settings.
    """
    if sys.platform != "linux":
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and all(
        set_option(option, value) for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT_BYTES))
    )


def give_back_memory() -> bool:
    """Give freed memory back to the system, also what :func:`keep_freed_memory` kept; False where nobody knows how.

    An accelerator's too: what torch holds in reserve counts as used when the next stage asks what is free.
    """
    torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    return trim is not None and bool(trim(0))


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep memory that is freed inside the block for its next step, and give it back in the end."""
    keep_freed_memory()
    try:
        yield
    finally:
        give_back_memory()


def generator(device: torch.device, seed: int, *key: str | int) -> torch.Generator:
    """A torch generator whose stream is a function of (seed, key) and of nothing that happened before."""
    return torch.Generator(device=device).manual_seed(seed_from(seed, *key))
