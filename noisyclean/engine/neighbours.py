"""Exact nearest neighbours, block by block: memory O(block x N) whatever N is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisyclean.base.runtime import use_threads

__all__ = ["nearest_neighbours", "neighbours_among"]

BLOCK_BYTES = 128 * 2**20
"""Size of the block of similarities held at a time."""
LEAST_ROWS = 32
"""Of a block, however long they are: each product reads the whole other matrix, for one row as for all of these."""
STRANDS = 8
"""Columns in a group; the k largest of a row lie in the k groups with the largest maxima."""
SEARCHED_ROWS = 32
"""Rows searched at a time, so that their candidates stay in a core's cache."""


def nearest_neighbours(
    z_ND: Tensor, *, num_neighbours: int, group_N: Tensor | None = None, rows: range | None = None
) -> tuple[Tensor, Tensor]:
    """The k most similar other samples of each sample.

    Args:
        z_ND: L2-normalised embeddings.
        num_neighbours: k, below N.
        group_N: Samples of one group are not each other's neighbours; a sample is never its own.
        rows: Neighbouring rows whose neighbours are wanted, among all samples; all rows by default.

    Returns:
        Indices (R, k), nearest first, and their cosine similarities; -inf marks places that could not be filled.
    """
    rows = range(len(z_ND)) if rows is None else rows
    index_RK = torch.empty(len(rows), num_neighbours, dtype=torch.int64, device=z_ND.device)
    similarity_RK = torch.empty(len(rows), num_neighbours, device=z_ND.device)

    def fill(own: range) -> None:
        own_B = torch.arange(own.start, own.stop, device=z_ND.device)
        similarity_BN = z_ND[own_B] @ z_ND.T
        if group_N is None:
            similarity_BN.scatter_(1, own_B[:, None], -torch.inf)
        else:
            similarity_BN.masked_fill_(group_N[own_B, None] == group_N[None], -torch.inf)
        place = slice(own.start - rows.start, own.stop - rows.start)
        similarity_RK[place], index_RK[place] = _largest(similarity_BN, num_neighbours)

    _in_blocks(fill, rows, width=len(z_ND), device=z_ND.device)
    return index_RK, similarity_RK


def neighbours_among(
    z_MD: Tensor, reference_ND: Tensor, *, num_neighbours: int, own_row_M: Tensor | None = None
) -> Tensor:
    """The k most similar reference samples of each of some other samples, nearest first, shape (M, k).

    Args:
        z_MD: L2-normalised embeddings.
        reference_ND: Those that can be neighbours.
        num_neighbours: k, below N.
        own_row_M: Where a sample is itself in the reference; it is not its own neighbour.
    """
    index_MK = torch.empty(len(z_MD), num_neighbours, dtype=torch.int64, device=z_MD.device)

    def fill(own: range) -> None:
        place = slice(own.start, own.stop)
        similarity_BN = z_MD[place] @ reference_ND.T
        if own_row_M is not None:
            similarity_BN.scatter_(1, own_row_M[place, None], -torch.inf)
        index_MK[place] = _largest(similarity_BN, num_neighbours)[1]

    _in_blocks(fill, range(len(z_MD)), width=len(reference_ND), device=z_MD.device)
    return index_MK


def _in_blocks(fill: Callable[[range], None], rows: range, *, width: int, device: torch.device) -> None:
    """Fill rows block by block: on a CPU each thread a block of its own, so that none waits for another.

    Args:
        fill: Does the rows it is given.
        rows: All rows.
        width: float32 values held for each row.
        device: Where it computes.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    size = max(LEAST_ROWS, BLOCK_BYTES // (4 * width * threads))
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    if threads == 1:
        for block in blocks:
            fill(block)
        return

    @torch.inference_mode()
    def alone(block: range) -> None:
        fill(block)

    with use_threads(1), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(alone, blocks):
            pass


def _largest(value_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of every row, largest first, and where they are.

    On a CPU ``topk`` reads long rows slowly; maxima over strands of 8 columns are taken at the speed of
    memory, and only the strands of the k largest maxima are searched. No value is lost: each of the k largest lies in a
    strand whose maximum is at least as large. The search is NumPy's, whose selection uses wide registers.
    """
    num = value_BN.shape[1] // STRANDS
    if value_BN.device.type != "cpu" or num < 2 * k:
        values, index = value_BN.topk(k, dim=1)
        return values, index
    maximum_BG = value_BN[:, : STRANDS * num].unflatten(1, (STRANDS, num)).amax(dim=1)
    parts = zip(value_BN.split(SEARCHED_ROWS), maximum_BG.split(SEARCHED_ROWS), strict=True)
    found = [_search_strands(value.numpy(), maximum.numpy(), k) for value, maximum in parts]
    values, index = (torch.from_numpy(np.concatenate(side)) for side in zip(*found, strict=True))
    return values, index


def _search_strands(
    value_BN: NDArray[np.float32], maximum_BG: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k largest of every row, given the maximum of each of its strands."""
    num, (rows, width) = maximum_BG.shape[1], value_BN.shape
    strand_BK = np.argpartition(maximum_BG, num - k, axis=1)[:, num - k :]
    column_BM = (strand_BK[:, None] + num * np.arange(STRANDS)[:, None]).reshape(rows, -1)
    rest_BR = np.broadcast_to(np.arange(STRANDS * num, width), (rows, width % STRANDS))
    column_BM = np.concatenate([column_BM, rest_BR], axis=1)
    value_BM = value_BN.reshape(-1).take(column_BM + width * np.arange(rows)[:, None])
    place_BK = np.argpartition(value_BM, value_BM.shape[1] - k, axis=1)[:, -k:]
    best_BK = np.take_along_axis(value_BM, place_BK, axis=1)
    order_BK = np.argsort(-best_BK, axis=1)
    index_BK = np.take_along_axis(column_BM, np.take_along_axis(place_BK, order_BK, axis=1), axis=1)
    return np.take_along_axis(best_BK, order_BK, axis=1), index_BK
