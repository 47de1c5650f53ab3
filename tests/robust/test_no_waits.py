"""Training steps ask no tensor for its value or its number of hits: on an accelerator each of these would be a wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from noisyclean.data.batches import Pixels
from noisyclean.robust.method import methods
from noisyclean.robust.toy import make_data, make_small, run, same_weights
from tests.engine.test_distributed import probe, simclr

aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.equal.default,
    aten.is_nonzero.default,
}
"""Operators whose result or whose shape the host has to know."""


class Waits(TorchDispatchMode):
    """Notes operators that would make the host wait, boolean masks as an index among them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_masked = func in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default) and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if func in WAITS or is_masked:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


class Elsewhere(Pixels):
    """Images that are not where everything else is, as far as a CPU can play that; slices are not told in inference."""

    def take(self, row_B: Tensor) -> Tensor:
        is_known = row_B._is_view() or torch.is_inference_mode_enabled()
        assert is_known, "no slice of an order made beforehand: the host would have to wait for these rows"
        return super().take(row_B)


def elsewhere(pixels: Pixels) -> Pixels:
    return Elsewhere(**(vars(pixels) | {"device": torch.device("cpu:0")}))


def waits_of(name: str) -> list[str]:
    """What the steps of a whole training would wait for."""
    method = make_small(methods.get(name), make_data(), epochs=3)
    found: list[str] = []
    for epoch in range(method.num_epochs):
        method.begin_epoch(epoch)
        with Waits() as waits:
            for step in range(method.num_steps(epoch)):
                method.step(epoch, step)
        found += waits.found
        method.end_epoch(epoch)
    return found


@pytest.mark.parametrize("name", methods.names())
def test_a_step_waits_for_nothing(name: str) -> None:
    assert waits_of(name) == []


def test_waits_are_noticed() -> None:
    x = torch.arange(4.0)
    with Waits() as waits:
        _ = x[x > 1]
        _ = x.sum().item()
        _ = torch.nonzero(x)
        _ = x[torch.tensor([0, 1])]
    assert len(waits.found) == 3


@pytest.mark.parametrize(
    ("name", "changes"),
    [(name, {}) for name in methods.names()]
    + [("dividemix", {"learn": "mixmatch", "guess": "step"}), ("moit", {"guess": "step"})],
)
def test_images_elsewhere_are_asked_for_by_rows_that_are_known(name: str, changes: dict[str, Any]) -> None:
    data = make_data()
    away = replace(data, pixels=elsewhere(data.pixels))
    one, other = (make_small(methods.get(name), given, **changes) for given in (data, away))
    assert run(one) == run(other)
    assert same_weights(one.predictor(), other.predictor())


def test_and_so_are_those_of_the_pretraining_and_the_probe() -> None:
    for task in (simclr(), probe()):
        task.pixels = elsewhere(task.pixels)
        assert torch.isfinite(task.step(0, 0)["loss"])
        task.end_epoch(0)
