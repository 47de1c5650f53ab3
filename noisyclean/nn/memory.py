"""Memory of past embeddings: a true ring, of which the part not yet written does not count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["RingMemory"]

EMPTY = -1


class RingMemory:
    """The latest M embeddings and their labels, the oldest overwritten first.

    Cross-batch memory, https://arxiv.org/abs/1912.06798, as MOIT uses it.

    Args:
        num_slots: M.
        dim: D of the embeddings.
        device: Where they live.

    Deviations: MOIT's published buffer writes a batch that does not fit over its own end and starts anew; here every
    entry is kept for exactly as long as M newer ones.
    """

    def __init__(self, num_slots: int, dim: int, *, device: torch.device) -> None:
        self.z_MD = torch.zeros(num_slots, dim, device=device)
        self.label_M = torch.full((num_slots,), EMPTY, device=device)
        self.cursor = torch.zeros((), dtype=torch.int64, device=device)
        """Where the next row goes; on the device, because a replayed step moves it too."""

    def enqueue(self, z_BD: Tensor, label_B: Tensor) -> Tensor:
        """Write a batch of at most M rows and return their slots, shape (B,)."""
        assert len(z_BD) <= len(self.z_MD), "a batch must fit into the memory"
        slot_B = (self.cursor + torch.arange(len(z_BD), device=z_BD.device)) % len(self.z_MD)
        self.z_MD[slot_B] = z_BD.detach().float()
        self.label_M[slot_B] = label_B
        self.cursor.add_(len(z_BD)).remainder_(len(self.z_MD))
        return slot_B

    @property
    def is_empty(self) -> Tensor:
        """Slots that were never written, shape (M,)."""
        return self.label_M == EMPTY

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"z_MD": self.z_MD, "label_M": self.label_M, "cursor": self.cursor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.z_MD.copy_(state["z_MD"])
        self.label_M.copy_(state["label_M"])
        self.cursor.copy_(state["cursor"])
