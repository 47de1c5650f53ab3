"""What training changes about the machine is changed back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from noisyclean.base.runtime import at_work, choose_runtime


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
