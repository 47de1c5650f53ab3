"""A step is the optimiser's along the loss's gradients; an accelerator's replayed steps are the same steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from noisyclean.base.runtime import choose_runtime
from noisyclean.engine.descent import ORDINARY_STEPS, Descent, Figures, _refusal_told
from noisyclean.engine.loop import Task
from noisyclean.errors import EnvironmentProblem, NoisycleanError
from noisyclean.robust.method import methods
from tests.engine.test_sync import make, make_method

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing is recorded"),
]


def line(weight: float) -> nn.Linear:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, weight)
    return net


def test_a_step_follows_the_first_figure() -> None:
    net = line(3.0)
    descent = Descent(net, choose_runtime("cpu"), optimizer="plain-sgd", weight_decay=0.0)

    def figures_of(draw: torch.Generator, x_B: Tensor) -> Figures:
        loss = (net(x_B[:, None]) * torch.rand((), generator=draw)).mean()
        return {"loss": loss, "other": -loss.detach()}

    drawn = torch.rand((), generator=torch.Generator().manual_seed(7))
    figures = descent.step(figures_of, torch.tensor([1.0, 3.0]), seed=7, rate=0.5)
    assert list(figures) == ["loss", "other"]
    torch.testing.assert_close(figures["loss"].detach(), 3.0 * 2.0 * drawn)
    torch.testing.assert_close(net.weight.detach().squeeze(), 3.0 - 0.5 * 2.0 * drawn)


def test_long_gradients_are_cut() -> None:
    net = line(1.0)
    descent = Descent(net, choose_runtime("cpu"), optimizer="plain-sgd", weight_decay=0.0)
    descent.step(lambda _: {"loss": 100 * net.weight.sum()}, seed=0, rate=1.0, clip_norm=0.25)
    assert float(net.weight.detach()) == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize(
    ("said", "told", "error"),
    [
        ("operation not permitted when stream is capturing", "--set engine.replay=false", NoisycleanError),
        ("CUDA out of memory. Tried to allocate 2 GiB", "--set probe.batch=64", EnvironmentProblem),
    ],
)
def test_a_refused_recording_says_what_to_do(said: str, told: str, error: type[NoisycleanError]) -> None:
    def break_off() -> None:
        try:
            raise RuntimeError(said)
        finally:
            raise RuntimeError("capture failed due to a previous error")

    with pytest.raises(error) as raised, _refusal_told():
        break_off()
    assert said[:20] in str(raised.value)
    assert told in str(raised.value.hint)


def losses_of(task: Task, num_epochs: int) -> list[float]:
    """The first figure of every step."""
    losses = []
    for epoch in range(num_epochs):
        task.begin_epoch(epoch)
        for step in range(task.num_steps(epoch)):
            losses.append(next(iter(task.step(epoch, step).values())).clone())
        task.end_epoch(epoch)
    return [float(loss) for loss in losses]


STEPS: list[tuple[str, dict[str, str]]] = [(name, {}) for name in ("simclr", "probe", *methods.names())]
STEPS += [("dividemix", {"learn": "mixmatch", "guess": "step"}), ("moit", {"guess": "step"})]


@pytest.mark.parametrize(("name", "changes"), STEPS)
@pytest.mark.parametrize("where", ["cuda", "cpu"])
class TestOnAnAccelerator:
    """Where steps are recorded."""

    pytestmark = on_gpu

    def test_replayed_steps_are_the_same_steps(self, name: str, changes: dict[str, str], where: str) -> None:
        exact = replace(choose_runtime("cuda", dtype="float32"), replays=False)
        losses = []
        for replays in (False, True):
            runtime = replace(exact, replays=replays)
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                is_plain = name in ("simclr", "probe")
                task = make(name, where, runtime) if is_plain else make_method(name, where, runtime, **changes)
                losses.append(losses_of(task, 4 if is_plain else task.num_epochs))  # type: ignore[union-attr]
            descents = [part for part in _parts(task) if isinstance(part, Descent)]
            assert any(descent.recordings for descent in descents) == replays
        assert len(losses[0]) > 2 * ORDINARY_STEPS
        assert losses[1] == pytest.approx(losses[0], rel=0.02, abs=0.02)


def _parts(thing: object, depth: int = 4) -> list[object]:
    """What hangs on an object, some attributes deep."""
    held = list(vars(thing).values()) if hasattr(thing, "__dict__") else list(thing) if isinstance(thing, list) else []
    return [thing, *(part for value in held if depth for part in _parts(value, depth - 1))]
