"""Several processes on one task: who does which part, and how the parts come together.

Without a process group everything here is the plain, single-process operation. ``torchrun`` (or a test) sets the group
up; results do not depend on the number of processes where a docstring says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from noisyclean.engine.neighbours import nearest_neighbours
from noisyclean.errors import UsageError
from noisyclean.ops.contrastive import nt_xent

__all__ = ["Share", "average_gradients", "gather_shares", "gathered_nt_xent", "sharded_neighbours"]


@dataclass(frozen=True)
class Share:
    """This process among those that work together."""

    rank: int
    num: int

    @classmethod
    def current(cls) -> Share:
        """Of the process group, or the only one where there is none."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls(0, 1)

    def rows(self, total: int) -> range:
        """The neighbouring rows this process does; sizes differ by one at most."""
        return range(self.rank * total // self.num, (self.rank + 1) * total // self.num)

    def samples(self, total: int) -> Tensor:
        """The samples whose state lives here: i belongs to process i mod ``num``."""
        return torch.arange(self.rank, total, self.num)

    def of(self, batch: int) -> slice:
        """The part of a batch this process takes; as large for all, the rest of the division is left out.

        Raises:
            UsageError: There are more processes than images.
        """
        size = batch // self.num
        if not size:
            raise UsageError(
                f"--gpus {self.num}: a batch of {batch} has no image for each of them",
                hint="Ask for fewer, or for larger batches: --set probe.batch=N, --set simclr.batch=N.",
            )
        return slice(self.rank * size, (self.rank + 1) * size)


def sharded_neighbours(z_ND: Tensor, *, num_neighbours: int, group_N: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """:func:`~noisyclean.engine.neighbours.nearest_neighbours`, each process some rows; all get all of it.

    The result is the same for any number of processes, up to the order of equal similarities.

    Args:
        z_ND: L2-normalised embeddings, the same in every process.
        num_neighbours: k, below N.
        group_N: Samples of one group are not each other's neighbours.
    """
    share = Share.current()
    rows = share.rows(len(z_ND))
    index_RK, similarity_RK = nearest_neighbours(z_ND, num_neighbours=num_neighbours, group_N=group_N, rows=rows)
    if share.num == 1:
        return index_RK, similarity_RK
    sizes = [len(Share(rank, share.num).rows(len(z_ND))) for rank in range(share.num)]
    return _gather_rows(index_RK, sizes), _gather_rows(similarity_RK, sizes)


def gathered_nt_xent(z_VBD: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent of this process's images among the images of all processes.

    The mean over processes is the loss of the whole batch, and so is the gradient once it is averaged
    (:func:`average_gradients`, or ``DistributedDataParallel``).

    Args:
        z_VBD: Embeddings of V views of each image of this process's part, L2-normalised; as many in every process.
        temperature: T, positive.
    """
    share = Share.current()
    if share.num == 1:
        return nt_xent(z_VBD, temperature=temperature)
    batch = z_VBD.shape[1]
    rows = range(share.rank * batch, (share.rank + 1) * batch)
    gathered_VBD = _GatherRows.apply(z_VBD.movedim(1, 0)).movedim(0, 1)
    return nt_xent(gathered_VBD, temperature=temperature, rows=rows)


def average_gradients(parameters: Iterable[nn.Parameter], buffers: Iterable[Tensor], loss: Tensor) -> Tensor:
    """Replace every gradient and buffer by its mean over the processes, and return the mean of the losses.

    One message for all. What is not finite in one process is so in all of them then: they stop together.

    Args:
        parameters: With or without a gradient.
        buffers: Statistics of normalisation layers; processes that hold the same all the time can all continue from
            what one of them saved.
        loss: Of this process.
    """
    share = Share.current()
    if share.num == 1:
        return loss
    own = [*(parameter.grad for parameter in parameters if parameter.grad is not None), *buffers]
    parts = [loss.detach(), *own]
    flat = torch.cat([part.flatten() for part in parts])
    dist.all_reduce(flat)
    flat /= share.num
    mean_loss: Tensor
    mean_loss, *means = flat.split([part.numel() for part in parts])
    for tensor, mean in zip(own, means, strict=True):
        tensor.copy_(mean.view_as(tensor))
    return mean_loss.squeeze().clone()


def gather_shares(own: Tensor, total: int) -> Tensor:
    """What every process knows of its :meth:`Share.samples`, put together in the order of the samples."""
    share = Share.current()
    if share.num == 1:
        return own
    sizes = [len(Share(rank, share.num).samples(total)) for rank in range(share.num)]
    parts = _gather_rows(own, sizes).split(sizes)
    whole = own.new_empty(total, *own.shape[1:])
    for rank, part in enumerate(parts):
        whole[rank :: share.num] = part
    return whole


class _GatherRows(torch.autograd.Function):
    """Rows of all processes, in order of rank; the gradient of a row is the sum over the processes that used it."""

    @staticmethod
    def forward(_: Any, own_B: Tensor) -> Tensor:
        own_B = own_B.contiguous()
        parts = [torch.empty_like(own_B) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own_B)
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def _gather_rows(own_R: Tensor, sizes: list[int]) -> Tensor:
    """Rows of all processes, which may differ in number by one: padded for the journey."""
    padded = own_R.new_zeros(max(sizes), *own_R.shape[1:])
    padded[: len(own_R)] = own_R
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
