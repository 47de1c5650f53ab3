"""3 x 3 convolutions in float32 on CPUs by Winograd's algorithm: a third or a quarter of the multiplications.

https://arxiv.org/abs/1509.09308. A feature map is cut into tiles that overlap by two pixels; lifted, a convolution is
one product of channels for each coordinate (:mod:`noisyclean.ops.minimal_filtering`). All of it is matrix products,
which run at the machine's peak, and copies.

Letters: F coordinates of a lifted tile, S pixels of an outcome, G tiles of all images, T threads, P what is left of
G x channels for each.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from noisyclean.ops.minimal_filtering import SIDES, transforms

__all__ = ["WinogradConv2d", "convolve"]

LEAST_IMAGES, LEAST_CHANNELS = 32, 64
MANY_CHANNELS = {"AVX2": 64, "AVX512": 128}
"""From which on it repays itself: images, channels on the narrower side and on the wider one, by what the CPU can do
(measured: ``docs/measurements-speed.md``)."""
PART_BYTES = 3 * 2**20
"""Of a thread's lifted tiles at a time: more would not stay in a cache, fewer make skinny products."""


class WinogradConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 1 that goes by Winograd's algorithm where that is faster."""

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """What ``nn.Conv2d`` gives up to rounding; shapes (B, I, H, W) to (B, J, H, W)."""
        if x_BIHW.dtype != torch.float32 or len(x_BIHW) < LEAST_IMAGES or not self._is_wide:
            return super().forward(x_BIHW)
        y_BJHW = convolve(x_BIHW, self.weight, _Tiling.best(x_BIHW.shape[2], x_BIHW.shape[3]).side)
        return y_BJHW if self.bias is None else y_BJHW.add_(self.bias[:, None, None])

    @property
    def _is_wide(self) -> bool:
        fewer, more = sorted((self.in_channels, self.out_channels))
        many = MANY_CHANNELS.get(torch.backends.cpu.get_cpu_capability(), math.inf)
        return fewer >= LEAST_CHANNELS and more >= many


def convolve(x_BIHW: Tensor, weight_JI33: Tensor, side: int) -> Tensor:
    """A 3 x 3 convolution with a pixel of zeros around; differentiable once.

    Args:
        x_BIHW: Maps of shape (B, I, H, W).
        weight_JI33: Kernels of shape (J, I, 3, 3).
        side: Of a tile's outcome, in pixels.

    Returns:
        Shape (B, J, H, W), channels last in memory.
    """
    y_BJHW: Tensor = _Convolution.apply(x_BIHW, weight_JI33, side)
    return y_BJHW


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BIHW: Tensor, weight_JI33: Tensor, side: int) -> Tensor:
        num_out, num_in = weight_JI33.shape[:2]
        tiling = _Tiling(x_BIHW.shape[2], x_BIHW.shape[3], side)
        work = _Workspace(tiling, x_BIHW, num_out)
        kernel_9P = weight_JI33.permute(2, 3, 1, 0).reshape(9, -1)
        kernel_FIJ = (work.maps.kernel_F9 @ kernel_9P).view(-1, num_in, num_out)
        ctx.tiling = tiling
        ctx.save_for_backward(x_BIHW, kernel_FIJ)
        shape = (len(x_BIHW), num_out, *tiling.covered)
        y_BJHW = torch.empty(shape, dtype=x_BIHW.dtype, memory_format=torch.channels_last)
        x_BHWI, y_BHWJ = x_BIHW.permute(0, 2, 3, 1), y_BJHW.permute(0, 2, 3, 1)
        for part in work.parts:
            work.lower(work.product(work.lift(x_BHWI[part]), kernel_FIJ), y_BHWJ[part])
        return tiling.cut(y_BJHW)  # no view: who follows may write over it

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BJHW: Tensor) -> tuple[Tensor, Tensor, None]:
        x_BIHW, kernel_FIJ = ctx.saved_tensors
        work = _Workspace(ctx.tiling, x_BIHW, kernel_FIJ.shape[2])
        x_BHWI, dy_BHWJ = x_BIHW.permute(0, 2, 3, 1), dy_BJHW.permute(0, 2, 3, 1)
        dx_BHWI = torch.empty_like(x_BHWI, memory_format=torch.contiguous_format)
        dkernel_FIJ = torch.zeros_like(kernel_FIJ)
        for part in work.parts:
            dz_FGJ = work.lower_transposed(dy_BHWJ[part])
            dkernel_FIJ.baddbmm_(work.lift(x_BHWI[part]).transpose(1, 2), dz_FGJ)
            work.lift_transposed(work.product(dz_FGJ, kernel_FIJ.transpose(1, 2)), dx_BHWI[part])
        dweight_33IJ = (work.maps.kernel_F9.T @ dkernel_FIJ.flatten(1)).view(3, 3, *kernel_FIJ.shape[1:])
        return dx_BHWI.permute(0, 3, 1, 2), dweight_33IJ.permute(3, 2, 0, 1), None


@dataclass(frozen=True)
class _Tiling:
    """How maps of one size are cut into tiles, all of whose views are (row, column, tile's row, tile's column, ...)."""

    height: int
    width: int
    side: int
    """Of a tile's outcome; it sees a pixel more all around."""

    @classmethod
    def best(cls, height: int, width: int) -> _Tiling:
        """The one that multiplies least."""
        tilings = (cls(height, width, side) for side in SIDES)
        return min(tilings, key=lambda tiling: math.prod(tiling.grid) * (tiling.side + 2) ** 2)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return math.ceil(self.height / self.side), math.ceil(self.width / self.side)

    @property
    def covered(self) -> tuple[int, int]:
        """Height and width that the tiles cover."""
        return self.grid[0] * self.side, self.grid[1] * self.side

    def cut(self, y_BJHW: Tensor) -> Tensor:
        """Maps without what tiles cover beyond them, channels last and without gaps in memory."""
        if self.covered == (self.height, self.width):
            return y_BJHW
        return y_BJHW[..., : self.height, : self.width].contiguous(memory_format=torch.channels_last)

    def inside(self, padded_HWBI: Tensor) -> Tensor:
        """The maps in the zeros around them, shape (B, H, W, I)."""
        return padded_HWBI[1 : self.height + 1, 1 : self.width + 1].permute(2, 0, 1, 3)

    def overlapping(self, padded_HWBI: Tensor) -> Tensor:
        """What the tiles see."""
        inner, (down, right, *others) = self.side + 2, padded_HWBI.stride()
        shape = (inner, inner, *self.grid, *padded_HWBI.shape[2:])
        return padded_HWBI.as_strided(shape, (down, right, self.side * down, self.side * right, *others))

    def apart(self, y_BHWJ: Tensor) -> Tensor:
        """The tiles' outcome."""
        rows, columns = self.grid
        tiles: Tensor = y_BHWJ.unflatten(1, (rows, self.side)).unflatten(3, (columns, self.side))
        return tiles.permute(2, 4, 1, 3, 0, 5)


class _Workspace:
    """The ways there and back, in memory that every part of a batch uses again, so that caches know it.

    What one method returns the next one overwrites, ``lower_transposed`` apart.
    """

    def __init__(self, tiling: _Tiling, x_BIHW: Tensor, num_out: int) -> None:
        self.tiling = tiling
        self.maps = transforms(tiling.side, x_BIHW.dtype)
        self.num_threads = torch.get_num_threads()
        num, num_in = x_BIHW.shape[:2]
        lifted = (tiling.side + 2) ** 2 * math.prod(tiling.grid) * max(num_in, num_out)
        most = max(1, PART_BYTES // (lifted * x_BIHW.element_size())) * self.num_threads
        self.parts = [slice(first, first + most) for first in range(0, num, most)]
        """Images that are computed at a time."""
        tall, wide = tiling.covered
        self._padded_HWBI = x_BIHW.new_zeros(tall + 2, wide + 2, min(most, num), num_in)
        self._buffers = {"tiles": x_BIHW.new_empty(min(most, num) * lifted)}

    def lift(self, x_BHWI: Tensor) -> Tensor:
        """What the tiles see, lifted: shape (F, G, I)."""
        padded_HWBI = self._padded_HWBI[:, :, : len(x_BHWI)]
        self.tiling.inside(padded_HWBI).copy_(x_BHWI)
        return self._lifted(self.maps.lift_FF, self.tiling.overlapping(padded_HWBI), "lifted")

    def product(self, x_FGI: Tensor, kernel_FIJ: Tensor) -> Tensor:
        """Of channels, for each coordinate: shape (F, G, J)."""
        z_FGJ = self._buffer("tiles", *x_FGI.shape[:2], kernel_FIJ.shape[2])
        return torch.bmm(x_FGI, kernel_FIJ, out=z_FGJ)

    def lower(self, z_FGJ: Tensor, out_BHWJ: Tensor) -> None:
        """Write the tiles' outcome to the maps."""
        tiles = self._by_threads(self.tiling.apart(out_BHWJ))
        tiles.copy_(self._lowered(self.maps.lower_SF, z_FGJ, tiles.shape))

    def lower_transposed(self, dy_BHWJ: Tensor) -> Tensor:
        """Gradients of the products from those of the maps: shape (F, G, J)."""
        tall, wide = self.tiling.covered
        beyond = (0, 0, 0, wide - self.tiling.width, 0, tall - self.tiling.height)
        tiles = self.tiling.apart(functional.pad(dy_BHWJ, beyond) if any(beyond) else dy_BHWJ)
        return self._lifted(self.maps.lower_SF.T, tiles, "gradients")

    def lift_transposed(self, dx_FGI: Tensor, out_BHWI: Tensor) -> None:
        """Write the maps' gradients: of what tiles see, summed where they overlap."""
        padded_HWBI = self._buffer("padded", *self._padded_HWBI.shape)[:, :, : len(out_BHWI)].zero_()
        windows = self._by_threads(self.tiling.overlapping(padded_HWBI))
        tiles = self._lowered(self.maps.lift_FF.T, dx_FGI, windows.shape)
        halves = slice(self.tiling.side), slice(self.tiling.side, None)
        for down, right in itertools.product(halves, halves):  # in each of them no pixel comes twice
            windows[:, down, right] += tiles[:, down, right]
        out_BHWI.copy_(self.tiling.inside(padded_HWBI))

    def _lifted(self, way: Tensor, tiles: Tensor, name: str) -> Tensor:
        """Tiles times a map, in a buffer of this name."""
        strips = self._by_threads(tiles)
        x_TSP = self._buffer("tiles", *strips.shape).copy_(strips).view(len(strips), way.shape[1], -1)
        y_FTP = self._buffer(name, len(way), len(strips), x_TSP.shape[2])
        torch.bmm(way.expand(len(strips), -1, -1), x_TSP, out=y_FTP.transpose(0, 1))
        return y_FTP.view(len(way), -1, tiles.shape[-1])

    def _lowered(self, way: Tensor, z_FGJ: Tensor, shape: torch.Size) -> Tensor:
        """The map of products to tiles of a shape that begins with the threads."""
        z_FTP = z_FGJ.view(len(z_FGJ), shape[0], -1)
        y_TSP = self._buffer("lifted", shape[0], len(way), z_FTP.shape[2])
        return torch.bmm(way.expand(shape[0], -1, -1), z_FTP.transpose(0, 1), out=y_TSP).view(shape)

    def _by_threads(self, tiles: Tensor) -> Tensor:
        """With an axis of threads in front, among which images are split: a skinny product keeps but one busy."""
        strips: Tensor = tiles.unflatten(4, (math.gcd(tiles.shape[4], self.num_threads), -1))
        return strips.movedim(4, 0)

    def _buffer(self, name: str, *shape: int) -> Tensor:
        if name not in self._buffers:
            self._buffers[name] = torch.empty_like(self._buffers["tiles"])
        values: Tensor = self._buffers[name][: math.prod(shape)]
        return values.view(shape)
