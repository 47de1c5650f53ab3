"""What the device can do at best: measured peaks, and the work of a call counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from noisyclean.base.runtime import Runtime

__all__ = ["Limits", "count_flops", "finish"]

REPEATS = 5
CONVOLUTIONS = ((256, 64, 16), (256, 128, 8), (128, 128, 16), (256, 256, 8))
"""Batch, channels and side of the 3 x 3 convolutions tried; the fastest is the peak."""
PRODUCTS = (1024, 2048, 4096)
LARGE_PRODUCTS = (4096, 8192, 16384)
COPIED_BYTES = 256 * 2**20


class Limits:
    """Measures peaks of the device for a dtype: anew at every call, because some machines change from minute to minute.

    Args:
        runtime: Device and dtype.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def meter(self, bound: str) -> Callable[[], float] | None:
        """What measures a bound's peak, FLOP/s or bytes/s; None for a bound that only a row itself can measure."""
        return {"convolution": self.convolution, "product": self.product, "memory": self.memory}.get(bound)

    def convolution(self) -> float:
        """Forward and backward through a 3 x 3 convolution in the runtime's dtype, FLOP/s.

        On an accelerator, whose kernels differ more from shape to shape, a product of square matrices in that dtype.
        """
        if self.runtime.device.type == "cuda":
            return max(self._multiply(side, self.runtime.dtype) for side in LARGE_PRODUCTS)
        return max(self._convolve(*shape) for shape in CONVOLUTIONS)

    def product(self) -> float:
        """A float32 product of square matrices, FLOP/s."""
        return max(self._multiply(side) for side in PRODUCTS)

    def memory(self) -> float:
        """Copying from memory to memory, bytes read and written a second."""
        source = torch.ones(COPIED_BYTES // 4, device=self.runtime.device)
        target = torch.empty_like(source)
        return 2 * COPIED_BYTES / self._median_s(lambda: target.copy_(source))

    def _convolve(self, batch: int, channels: int, side: int) -> float:
        device, dtype = self.runtime.device, self.runtime.dtype
        x_BIHW = torch.randn(batch, channels, side, side, device=device).to(dtype, memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
        x_BIHW.requires_grad_()
        weight.requires_grad_()
        gradient = torch.ones_like(x_BIHW)

        def call() -> None:
            y_BIHW = torch.nn.functional.conv2d(x_BIHW, weight, padding=1)
            torch.autograd.grad(y_BIHW, (x_BIHW, weight), gradient)

        return count_flops(call) / self._median_s(call)

    def _multiply(self, side: int, dtype: torch.dtype = torch.float32) -> float:
        matrix = torch.randn(side, side, device=self.runtime.device).to(dtype)
        return 2 * side**3 / self._median_s(lambda: matrix @ matrix)

    def _median_s(self, call: Callable[[], object]) -> float:
        call()
        seconds = []
        for _ in range(REPEATS):
            finish(self.runtime.device)
            start = time.perf_counter()
            call()
            finish(self.runtime.device)
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)


def count_flops(call: Callable[[], object]) -> float:
    """Floating-point operations of products and convolutions in one call, backward passes counted."""
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
