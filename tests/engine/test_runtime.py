"""What training changes about the machine is changed back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

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
