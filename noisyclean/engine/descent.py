"""One step down a loss: gradients, then the optimiser; an accelerator gets all kernels up to the gradients at once.

A small net's kernels run faster than the host can start them. After a few ordinary steps they are recorded as a CUDA
graph and replayed from then on, over the same memory: what comes in is copied there, and random numbers go on from the
seed of each step, so a replayed step is the step it would have been (``docs/decisions/0010-replayed-steps.md``).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.base.shortage import shortage
from noisyclean.config import OptimizerName
from noisyclean.engine.convolutions import suit_convolutions
from noisyclean.engine.distributed import Share, average_gradients
from noisyclean.engine.muon import Muon
from noisyclean.engine.optim import create_optimizer, set_rate
from noisyclean.errors import NoisycleanError

if TYPE_CHECKING:
    from noisyclean.nn.ema import WeightAverage  # brings the nets, and timm with them

__all__ = ["Descent", "Figures", "FiguresOf"]

Figures = Mapping[str, Tensor]
"""Scalars on the device; the first is the loss."""
FiguresOf = Callable[..., Figures]
"""Of a generator and of what a step is given; called in training."""
ORDINARY_STEPS = 3
"""Before one is recorded: libraries choose their kernels in the first, and may compile them."""
KNOWS_GENERATORS = "2.14"
"""Version of torch from which graphs find the generators that they record by themselves."""


class Descent:
    """Steps of one optimiser.

    Args:
        model: What is trained.
        runtime: Device and dtype, and whether steps are replayed there.
        optimizer: Its name.
        weight_decay: Its weight decay.
        average: Follows the model after each step.
    """

    def __init__(
        self,
        model: nn.Module,
        runtime: Runtime,
        *,
        optimizer: OptimizerName,
        weight_decay: float,
        average: WeightAverage | None = None,
    ) -> None:
        suit_convolutions(model, runtime)
        if average is not None:
            suit_convolutions(average.model, runtime)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self.optimizer = create_optimizer(optimizer, model, weight_decay=weight_decay, dtype=runtime.dtype)
        self.recordings: dict[Hashable, _Recording] = {}
        self._draw = torch.Generator(device=runtime.device)
        self.average = average
        self._replays = runtime.replays and runtime.device.type == "cuda" and Share.current().num == 1
        self._num_done: Counter[Hashable] = Counter()

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
                numbers from that generator alone, waits for nothing, reads tensors that are written over and never
                replaced, and computes with no number that changes from step to step: such a number is given.
            given: What differs from step to step, on the device.
            seed: Of the generator.
            rate: Learning rate.
            clip_norm: Longer gradients are cut to it; 0 leaves them.
            kind: Steps of one kind, and of given tensors of the same shapes, do the same.

        Returns:
            What ``figures_of`` gave; the next step may write over it.

        Raises:
            NoisycleanError: An accelerator cannot record the step.
        """
        self._draw.manual_seed(seed)
        set_rate(self.optimizer, rate)
        if self._replays:
            figures = self._replay(figures_of, given, clip_norm, kind)
        else:
            figures = self._descend(figures_of, given, clip_norm)
        if isinstance(self.optimizer, Muon):
            self.optimizer.descend()
        else:
            self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return figures

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state; it replaces tensors, so steps are recorded anew."""
        self.optimizer.load_state_dict(dict(state))
        self.recordings.clear()

    def _descend(self, figures_of: FiguresOf, given: tuple[Tensor, ...], clip_norm: float) -> Figures:
        """Leave in every parameter's gradient what the optimiser steps along."""
        self.optimizer.zero_grad(set_to_none=True)
        figures = figures_of(self._draw, *given)
        name, loss = next(iter(figures.items()))
        loss.backward()
        loss = average_gradients(self.parameters, self.buffers, loss)
        if clip_norm > 0:
            nn.utils.clip_grad_norm_(self.parameters, clip_norm)
        if isinstance(self.optimizer, Muon):
            self.optimizer.turn()
        return {**figures, name: loss}

    def _replay(self, figures_of: FiguresOf, given: tuple[Tensor, ...], clip_norm: float, kind: Hashable) -> Figures:
        """The same by a recording; by ordinary steps before there is one, on the stream that it will be made on."""
        key = (kind, clip_norm, *((tensor.shape, tensor.dtype) for tensor in given))
        if key not in self.recordings:
            stream = _place_of_recordings()[0]
            if self._num_done[key] < ORDINARY_STEPS:
                self._num_done[key] += 1
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    figures = self._descend(figures_of, given, clip_norm)
                torch.cuda.current_stream().wait_stream(stream)
                return figures
            self.recordings[key] = self._record(figures_of, given, clip_norm)
        return self.recordings[key].replay(given)

    def _record(self, figures_of: FiguresOf, given: tuple[Tensor, ...], clip_norm: float) -> _Recording:
        """Record a step without taking it."""
        graph, held = torch.cuda.CUDAGraph(), tuple(tensor.clone() for tensor in given)
        if torch.__version__ < KNOWS_GENERATORS:  # versions are compared as such, not as texts
            graph.register_generator_state(self._draw)
        stream, pool = _place_of_recordings()
        with _refusal_told(), torch.cuda.graph(graph, pool=pool, stream=stream):
            figures = self._descend(figures_of, held, clip_norm)
        figures = {name: value.detach() for name, value in figures.items()}
        return _Recording(graph, held, figures, [(parameter, parameter.grad) for parameter in self.parameters])


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
def _place_of_recordings() -> tuple[torch.cuda.Stream, Any]:
    """One stream and one pool of memory for all recordings of a process.

    Libraries keep workspaces for each stream. Steps are replayed one after the other, so what one leaves behind, but
    for its figures and gradients, others may write over.
    """
    return torch.cuda.Stream(), torch.cuda.graph_pool_handle()


@contextmanager
def _refusal_told() -> Iterator[None]:
    """Say what to do where a step cannot be recorded.

    Torch tells of the recording that was broken off, and what broke it off stands behind that.
    """
    try:
        yield
    except RuntimeError as error:
        cause = error.__context__ if isinstance(error.__context__, Exception) else error
        if (lack := shortage(cause)) is not None:
            raise lack from error
        reason = str(cause).partition("\n")[0]
        raise NoisycleanError(
            f"a training step cannot be recorded on this accelerator: {reason}",
            hint="Some backbones ask for values in between: --set engine.replay=false goes on without recordings.",
        ) from error
