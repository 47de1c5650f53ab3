"""One step down a loss: gradients, then the optimiser; an accelerator gets all kernels up to the gradients at once.

A small net's kernels run faster than the host can start them. After a few ordinary steps they are recorded as a CUDA
graph and replayed from then on, over the same memory: what comes in is copied there, and random numbers go on from the
seed of each step, so a replayed step is the step it would have been.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.engine.distributed import Share, average_gradients
from noisyclean.engine.muon import Muon
from noisyclean.engine.optim import set_rate

__all__ = ["Descent", "Figures", "FiguresOf"]

Figures = Mapping[str, Tensor]
"""Scalars on the device; the first is the loss."""
FiguresOf = Callable[..., Figures]
"""Of a generator and of what a step is given; called in training."""
ORDINARY_STEPS = 3
"""Before one is recorded: libraries choose their kernels in the first, and may compile them."""


class Descent:
    """Steps of one optimiser.

    Args:
        model: What is trained.
        optimizer: Of its parameters.
        runtime: The device, and whether steps are replayed there.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.SGD, runtime: Runtime) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = optimizer
        self.draw = torch.Generator(device=runtime.device)
        self.recordings: dict[Hashable, _Recording] = {}
        self._replays = runtime.replays and runtime.device.type == "cuda" and Share.current().num == 1
        self._num_done: Counter[Hashable] = Counter()
        self._finish = optimizer.descend if isinstance(optimizer, Muon) else optimizer.step

    def step(
        self,
        figures_of: FiguresOf,
        *given: Tensor,
        seed: int,
        rate: float,
        clip_norm: float = 0.0,
        kind: Hashable = "",
    ) -> Figures:
        """Take one step.

        Args:
            figures_of: Gives the loss, and what else is worth telling, of a generator and ``given``. It draws random
                numbers from that generator alone, waits for nothing, and reads tensors that are written over and never
                replaced.
            given: What differs from step to step, on the device.
            seed: Of the generator.
            rate: Learning rate.
            clip_norm: Longer gradients are cut to it; 0 leaves them.
            kind: Steps of one kind and of given tensors of the same shapes do the same.

        Returns:
            What ``figures_of`` gave; replayed steps overwrite it.
        """
        self.draw.manual_seed(seed)
        set_rate(self.optimizer, rate)
        if self._replays:
            figures = self._replay(figures_of, given, clip_norm, (kind, *(x.shape for x in given)))
        else:
            figures = self._descend(figures_of, given, clip_norm)
        self._finish()
        return figures

    def _descend(self, figures_of: FiguresOf, given: tuple[Tensor, ...], clip_norm: float) -> Figures:
        """Leave in every parameter's gradient what the optimiser steps along."""
        self.optimizer.zero_grad(set_to_none=True)
        figures = figures_of(self.draw, *given)
        name, loss = next(iter(figures.items()))
        loss.backward()
        loss = average_gradients(self.parameters, loss)
        if clip_norm > 0:
            nn.utils.clip_grad_norm_(self.parameters, clip_norm)
        if isinstance(self.optimizer, Muon):
            self.optimizer.turn()
        return {**figures, name: loss}

    def _replay(
        self, figures_of: FiguresOf, given: tuple[Tensor, ...], clip_norm: float, key: tuple[Hashable, ...]
    ) -> Figures:
        """The same by a recording; by ordinary steps before there is one, on the stream that it will be made on."""
        if key in self.recordings:
            return self.recordings[key].replay(given)
        stream = _recording_stream()
        if self._num_done[key] < ORDINARY_STEPS:
            self._num_done[key] += 1
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                figures = self._descend(figures_of, given, clip_norm)
            torch.cuda.current_stream().wait_stream(stream)
            return figures
        graph, held = torch.cuda.CUDAGraph(), tuple(tensor.clone() for tensor in given)
        graph.register_generator_state(self.draw)
        with torch.cuda.graph(graph, stream=stream):
            figures = self._descend(figures_of, held, clip_norm)
        figures = {name: value.detach() for name, value in figures.items()}
        gradients = [(parameter, parameter.grad) for parameter in self.parameters]
        self.recordings[key] = _Recording(graph, held, figures, gradients)
        return self.recordings[key].replay(given)


@dataclass(frozen=True)
class _Recording:
    """A step's kernels and the memory they work on."""

    graph: torch.cuda.CUDAGraph
    given: tuple[Tensor, ...]
    figures: Figures
    gradients: list[tuple[nn.Parameter, Tensor | None]]
    """Each parameter's, where the recording leaves it."""

    def replay(self, given: tuple[Tensor, ...]) -> Figures:
        for held, tensor in zip(self.given, given, strict=True):
            held.copy_(tensor)
        self.graph.replay()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return self.figures


@functools.cache
def _recording_stream() -> torch.cuda.Stream:
    """One for all recordings of a process: libraries keep workspaces for each stream."""
    return torch.cuda.Stream()
