"""What training changes about the machine is changed back."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from noisyclean.base import runtime as runtime_module
from noisyclean.base.runtime import at_work, choose_runtime, exactly


@pytest.mark.parametrize("fails", [False, True])
def test_settings_of_training_end_with_it(fails: bool) -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark
    runtime = replace(choose_runtime("cpu"), threads=1)
    try:
        with at_work(runtime):
            assert torch.get_num_threads() == 1
            assert torch.backends.cudnn.benchmark
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == before


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_exact_work_rounds_nothing_and_ends_as_it_began(precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    try:
        with exactly(choose_runtime("cpu", threads=1)):
            assert torch.get_num_threads() == 1
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == precision
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("variables", "threads", "reason"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3, "3: OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "3,1"}, 3, "3: OMP_NUM_THREADS"),
        ({"SLURM_CPUS_PER_TASK": "5"}, 5, "5: SLURM_CPUS_PER_TASK"),
        ({"OMP_NUM_THREADS": "3", "SLURM_CPUS_PER_TASK": "5"}, 3, "3: OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "x", "SLURM_CPUS_PER_TASK": "5"}, 5, "5: SLURM_CPUS_PER_TASK"),
        ({"OMP_NUM_THREADS": "zero"}, None, "the cores this process may use"),
    ],
)
def test_a_limit_of_threads_is_kept(
    variables: dict[str, str], threads: int | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    runtime = choose_runtime("cpu")
    assert runtime.threads == threads or threads is None
    assert runtime.reasons["threads"].endswith(reason)


@pytest.mark.parametrize(
    ("instructions", "is_faster", "wanted"),
    [
        ((), True, torch.float32),
        (("_is_avx512_bf16_supported",), False, torch.float32),
        (("_is_avx512_bf16_supported",), True, torch.bfloat16),
        (("_is_avx512_bf16_supported", "_is_amx_tile_supported"), False, torch.bfloat16),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_gains_by_it(
    instructions: tuple[str, ...], is_faster: bool, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module, "_cpu_says", lambda name: name in instructions)
    monkeypatch.setattr(runtime_module, "bfloat16_is_faster", lambda: is_faster)
    runtime = choose_runtime("cpu")
    assert runtime.dtype == wanted
    assert runtime.reasons["dtype"].startswith(f"{str(wanted).removeprefix('torch.')}: ")


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_the_faster_product_decides(faster: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def multiply(factor: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        nonlocal clock
        clock += 1.0 if factor.dtype == faster else 2.0
        return factor

    monkeypatch.setattr(torch, "mm", multiply)
    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    assert runtime_module.bfloat16_is_faster.__wrapped__() == (faster == torch.bfloat16)
