"""Rows of an epoch's batches when the sets to draw from change their size."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["repeated_rows"]


def repeated_rows(row_R: Tensor, *, num_steps: int, batch: int, draw: torch.Generator) -> Tensor:
    """Full batches of a set, each lap over it a fresh permutation, as many laps as it takes.

    Args:
        row_R: The set; not empty, and smaller than a batch if need be.
        num_steps: Batches.
        batch: Rows in each.
        draw: Source of randomness.

    Returns:
        Rows, shape (num_steps, batch).
    """
    wanted = num_steps * batch
    laps = [torch.randperm(len(row_R), generator=draw, device=row_R.device) for _ in range(-(-wanted // len(row_R)))]
    return row_R[torch.cat(laps)[:wanted]].view(num_steps, batch)
