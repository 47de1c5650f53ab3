"""Pictures that are nearly the same: resaved, rescaled or slightly brightened copies.

Difference hashes (64 bits: whether each of 8 x 8 cells is brighter than its right neighbour) find candidates, the
pixels decide. Candidates are neighbours in four sorted lists that each begin with another quarter of the hash, so the
cost is O(N log N) whatever the images are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from noisyclean.data.rows import Images
from noisyclean.types import FloatArray, IntArray

__all__ = ["merge_groups", "near_duplicates"]

CELLS = 8
WINDOW = 4
"""Later entries of a sorted list that each entry is compared with."""
ALIKE = 0.15
"""Root mean square difference, in standard deviations of the pixels, up to which two pictures are nearly the same."""
LEAST_CONTRAST = 8.0
"""Standard deviation of pixels below which a picture is too plain to be told apart from another by its pixels."""
BLOCK_VALUES = 2**24
"""Of pictures that are hashed, or of pairs that are compared, at a time."""
COMPARED_PX = 32
"""Candidates are compared at this side: what makes two pictures the same is not in their finest details."""


def near_duplicates(*sets: Images) -> IntArray:
    """Number the pictures so that nearly equal ones, directly or in a chain, have one number.

    Args:
        sets: Pixels, shape (N, H, W, I); of several sets one after the other, all of one size.

    Returns:
        Component of each picture, shape (N,); N counts those of all sets.
    """
    num, block = sum(map(len, sets)), _block_of(sets[0])
    quarters_NQ = np.concatenate(
        [_hashes(images[start : start + block]) for images in sets for start in range(0, len(images), block)]
    )
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for turn in range(quarters_NQ.shape[1]):
        turned = np.roll(quarters_NQ, turn, axis=1)
        order = np.lexsort(turned.T[::-1])
        for step in range(1, min(WINDOW, num - 1) + 1):
            left, right = order[:-step], order[step:]
            shares = quarters_NQ[left, -turn] == quarters_NQ[right, -turn]
            pairs.append(np.stack([left[shares], right[shares]], axis=1))
    candidate_P2 = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    alike_P2 = candidate_P2[_are_alike(sets, candidate_P2)]
    return _components(alike_P2, num)


def merge_groups(first_N: IntArray, second_N: IntArray | None) -> IntArray:
    """The finest groups that keep together what either of two groupings keeps together."""
    if second_N is None:
        return first_N
    num = len(first_N)
    pairs: list[NDArray[np.int64]] = []
    for group_N in (first_N, second_N):
        order = np.argsort(group_N, kind="stable")
        same = np.diff(group_N[order]) == 0
        pairs.append(np.stack([order[:-1][same], order[1:][same]], axis=1))
    return _components(np.concatenate(pairs), num)


def _hashes(images_BHWI: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Four 16-bit quarters of each picture's difference hash."""
    grey_BHW: FloatArray = images_BHWI.mean(axis=3, dtype=np.float32)
    if grey_BHW.shape[2] <= CELLS:  # a column of cells more than there are pixels
        grey_BHW = grey_BHW.repeat(2, axis=2)
    rows = np.array_split(np.arange(grey_BHW.shape[1]), CELLS)
    columns = np.array_split(np.arange(grey_BHW.shape[2]), CELLS + 1)
    tall = np.stack([grey_BHW[:, part].mean(axis=1) for part in rows], axis=1)
    cells = np.stack([tall[:, :, part].mean(axis=2) for part in columns], axis=2)
    bits = (cells[:, :, 1:] > cells[:, :, :-1]).reshape(len(images_BHWI), CELLS * CELLS)
    return np.packbits(bits, axis=1).view(np.uint16)


def _are_alike(sets: Sequence[Images], pair_P2: IntArray) -> NDArray[np.bool_]:
    alike, block = np.zeros(len(pair_P2), dtype=bool), _block_of(sets[0])
    for start in range(0, len(pair_P2), block):
        pair = pair_P2[start : start + block]
        left, right = (_shrunk(_taken(sets, pair[:, side])) for side in (0, 1))
        difference = np.sqrt(((left - right) ** 2).mean(axis=1))
        contrast = left.std(axis=1)
        alike[start : start + block] = difference <= np.where(contrast < LEAST_CONTRAST, 0, ALIKE * contrast)
    return alike


def _taken(sets: Sequence[Images], index_B: IntArray) -> NDArray[np.uint8]:
    """Some pictures of sets that are numbered one after the other."""
    if len(sets) == 1:
        return sets[0][index_B]
    taken_BHWI = np.empty((len(index_B), *sets[0].shape[1:]), dtype=np.uint8)
    for images_NHWI in sets:
        inside_B = (index_B >= 0) & (index_B < len(images_NHWI))
        taken_BHWI[inside_B] = images_NHWI[index_B[inside_B]]
        index_B = index_B - len(images_NHWI)
    return taken_BHWI


def _shrunk(images_BHWI: NDArray[np.uint8]) -> FloatArray:
    """Pictures averaged over squares of pixels, to 32 to 63 px; shape (B, values)."""
    side = images_BHWI.shape[1]
    step = max(1, side // COMPARED_PX)
    num = side // step
    squares = images_BHWI[:, : num * step, : num * step].reshape(len(images_BHWI), num, step, num, step, -1)
    small: FloatArray = squares.mean(axis=(2, 4), dtype=np.float32).reshape(len(images_BHWI), -1)
    return small


def _block_of(images_NHWI: Images) -> int:
    return max(1, BLOCK_VALUES // math.prod(images_NHWI.shape[1:]))


def _components(pair_P2: IntArray, num: int) -> IntArray:
    graph = coo_array((np.ones(len(pair_P2), dtype=np.int8), (pair_P2[:, 0], pair_P2[:, 1])), shape=(num, num))
    component_N: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return component_N
