"""Two gloo processes give what one gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.functional import normalize

from noisyclean.base.log import Silent
from noisyclean.base.runtime import Runtime
from noisyclean.config import ProbeConfig, SimCLRConfig
from noisyclean.data.augment import Augmentation
from noisyclean.data.batches import load_pixels
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.engine.distributed import (
    Share,
    average_gradients,
    gather_shares,
    gathered_nt_xent,
    sharded_neighbours,
)
from noisyclean.engine.loop import fit
from noisyclean.engine.neighbours import nearest_neighbours
from noisyclean.errors import NoisycleanError, UsageError
from noisyclean.nn import create_backbone
from noisyclean.ops.contrastive import nt_xent
from noisyclean.pretrain.simclr import SimCLR
from noisyclean.robust.probe import Probe

NUM, DIM, BATCH = 41, 6, 8


def embeddings() -> torch.Tensor:
    return normalize(torch.randn(NUM, DIM, generator=torch.Generator().manual_seed(0)), dim=1)


def encoder() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(DIM, 4)


def views() -> torch.Tensor:
    return torch.randn(3, BATCH, DIM, generator=torch.Generator().manual_seed(2))


def neighbours_of_two(folder: Path) -> None:
    for name, group in (("alone", None), ("grouped", torch.arange(NUM) // 3)):
        index, similarity = sharded_neighbours(embeddings(), num_neighbours=5, group_N=group)
        torch.save([index, similarity], folder / f"{name}-{dist.get_rank()}.pt")


def gradient_of_two(folder: Path) -> None:
    net, part = encoder(), Share.current().of(BATCH)
    loss = gathered_nt_xent(normalize(net(views()[:, part]), dim=2), temperature=0.5)
    loss.backward()
    mean = average_gradients(net.parameters(), net.buffers(), loss)
    torch.save([mean, *(parameter.grad for parameter in net.parameters())], folder / f"{dist.get_rank()}.pt")


def statistics_of_two(folder: Path) -> None:
    norm = nn.BatchNorm1d(3)
    norm.running_mean.fill_(dist.get_rank())  # type: ignore[union-attr]
    average_gradients((), [norm.get_buffer("running_mean")], torch.zeros(()))
    samples = Share.current().samples(NUM)
    torch.save([norm.running_mean, gather_shares(samples * 10, NUM)], folder / f"{dist.get_rank()}.pt")


def probe_of_two(folder: Path) -> None:
    task = probe()
    task.step(0, 0)
    task.end_epoch(0)
    torch.save(list(vars(task.record()).values()), folder / f"{dist.get_rank()}.pt")


def simclr_of_two(folder: Path) -> None:
    task = simclr()
    for step in range(2):
        task.step(0, step)
    torch.save(list(task.net.state_dict().values()), folder / f"{dist.get_rank()}.pt")


def broken_of_two(folder: Path) -> None:
    """Only the second process meets a loss that is not finite, in the epoch's only step."""
    task = probe(batch=32)
    task.weight_N[:] = torch.inf if dist.get_rank() == 1 else 1.0
    try:
        fit(task, title="probe", num_epochs=1, checkpoint=Checkpoint(None), reporter=Silent())
    except NoisycleanError as error:
        torch.save([str(error)], folder / f"{dist.get_rank()}.pt")


def simclr() -> SimCLR:
    images = torch.randint(0, 256, (32, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    runtime = Runtime(device=torch.device("cpu"), dtype=torch.float32, threads=1, reasons={})
    return SimCLR(
        pixels=load_pixels(images.numpy(), runtime.device),
        label_N=torch.zeros(32, dtype=torch.int64),
        net=create_backbone("noisyclean_compact", num_classes=0, seed=0),
        augmentation=Augmentation(),
        config=SimCLRConfig(epochs=1, batch=16),
        runtime=runtime,
        seed=0,
    )


def probe(*, batch: int = 16) -> Probe:
    like = simclr()
    return Probe(
        pixels=like.pixels,
        label_N=torch.arange(32) % 2,
        weight_N=torch.ones(32),
        net=create_backbone("noisyclean_compact", num_classes=2, seed=0),
        net_index=0,
        augmentation=Augmentation(),
        config=ProbeConfig(num_nets=1, epochs=1, batch=batch, num_recordings=1),
        runtime=like.runtime,
        seed=0,
    )


WORKS: tuple[Callable[[Path], None], ...] = (
    neighbours_of_two,
    gradient_of_two,
    statistics_of_two,
    probe_of_two,
    simclr_of_two,
    broken_of_two,
)
Got = Callable[[Callable[[Path], None]], list[list[Any]]]


@pytest.fixture(scope="module")
def in_two(tmp_path_factory: pytest.TempPathFactory) -> Got:
    """What each process saved of a piece of work; one pair of processes does all of them."""
    root = tmp_path_factory.mktemp("two")
    mp.spawn(enter, args=(root,), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
    return lambda work: [torch.load(path, weights_only=True) for path in sorted((root / work.__name__).glob("*.pt"))]


def enter(rank: int, root: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{root / 'meet'}", rank=rank, world_size=2)
    for work in WORKS:
        folder = root / work.__name__
        folder.mkdir(exist_ok=True)
        work(folder)
    dist.destroy_process_group()


@pytest.mark.parametrize(("total", "num"), [(10, 3), (41, 2), (2, 4), (7, 1)])
def test_shares_cover_every_row_once(total: int, num: int) -> None:
    rows = [row for rank in range(num) for row in Share(rank, num).rows(total)]
    assert rows == list(range(total))


def test_more_processes_than_images_are_refused() -> None:
    assert Share(3, 4).of(5) == slice(3, 4)
    with pytest.raises(UsageError, match="--gpus 8: a batch of 4"):
        Share(7, 8).of(4)


def test_neighbours_of_two_processes_are_those_of_one(in_two: Got) -> None:
    first_alone, second_alone, first_grouped, second_grouped = in_two(neighbours_of_two)
    for got, group in (
        (first_alone, None),
        (second_alone, None),
        (first_grouped, torch.arange(NUM) // 3),
        (second_grouped, torch.arange(NUM) // 3),
    ):
        index, similarity = nearest_neighbours(embeddings(), num_neighbours=5, group_N=group)
        assert torch.equal(got[0], index)
        assert torch.allclose(got[1], similarity)


def test_loss_and_gradient_of_two_processes_are_those_of_one(in_two: Got) -> None:
    net = encoder()
    loss = nt_xent(normalize(net(views()), dim=2), temperature=0.5)
    loss.backward()
    for total, *gradients in in_two(gradient_of_two):
        assert torch.allclose(total, loss)
        for got, parameter in zip(gradients, net.parameters(), strict=True):
            assert parameter.grad is not None
            assert torch.allclose(got, parameter.grad, atol=1e-6)


def test_simclr_keeps_weights_and_statistics_of_two_processes_equal(in_two: Got) -> None:
    before = list(simclr().net.state_dict().values())
    first, second = in_two(simclr_of_two)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, before, strict=True))


def test_statistics_are_averaged_and_samples_put_in_order(in_two: Got) -> None:
    for mean, gathered in in_two(statistics_of_two):
        assert torch.equal(mean, torch.full((3,), 0.5))
        assert torch.equal(gathered, torch.arange(NUM) * 10)


def test_both_processes_hold_the_records_of_all_samples(in_two: Got) -> None:
    first, second = in_two(probe_of_two)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].shape == (1, 32)
    assert first[3].shape[0] == 32


def test_a_loss_that_is_not_finite_in_one_process_stops_both_alike(in_two: Got) -> None:
    first, second = in_two(broken_of_two)
    assert first == second
    assert "probe: loss became" in first[0]
