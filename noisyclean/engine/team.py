"""Processes led by the first of them: it runs the whole job, and calls the others to the parts that are shared.

The others wait until they are called, do their part and wait again; they write nothing. Where ``torchrun`` started the
processes its variables say which is which; otherwise the first process starts the others itself.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from noisyclean.engine.distributed import sharded_neighbours
from noisyclean.errors import EnvironmentProblem, NoisycleanError, UsageError

__all__ = ["call_team", "follow", "gathered", "shared_neighbours", "team_size"]

MEETING = timedelta(minutes=5)
"""Longest wait for all processes to start, and for one of them within a shared part."""
WAITING = timedelta(days=30)
"""Longest wait between two shared parts."""
NEIGHBOURS = "neighbours"
LOOPBACK = "127.0.0.1"

_calls: list[dist.ProcessGroup] = []
"""The group calls go through, while there is one."""


def team_size(asked: int) -> int:
    """How many processes there will be: as many as ``torchrun`` started, else as asked.

    Raises:
        UsageError: None at all.
    """
    if asked < 1:
        raise UsageError(f"--gpus {asked}: must be at least 1")
    return max(asked, _num_started())


@contextmanager
def gathered(num: int, device: str) -> Iterator[None]:
    """Lead ``num`` processes while the block runs; where ``torchrun`` started them, as many as it did.

    Args:
        num: Processes, this one among them; one for each accelerator.
        device: ``cpu`` or ``cuda``.

    Raises:
        UsageError: A device that processes cannot share.
        EnvironmentProblem: There are fewer accelerators.
    """
    num, is_started = team_size(num), _num_started() > 1
    if num == 1 or _calls:
        yield
        return
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--gpus {num}: {device} works with one process", hint="Leave --gpus out.")
    if device == "cuda" and torch.cuda.device_count() < num:
        raise EnvironmentProblem(f"--gpus {num}: torch finds {torch.cuda.device_count()} here")
    followers: list[subprocess.Popen[bytes]] = []
    try:
        if is_started:
            _join(rank=0, num=num, meet="env://")
        else:
            port = _free_port()
            followers += [_start_follower(rank, num, port) for rank in range(1, num)]
            _join(rank=0, num=num, meet=f"tcp://{LOOPBACK}:{port}")
        yield
        call_team("")
    finally:
        _part()
        for process in followers:
            process.terminate()
            process.wait()


def follow(jobs: Mapping[str, Callable[..., object]]) -> None:
    """Do what the first process calls for until it is done.

    Args:
        jobs: What can be called for, by name.
    """
    _join(rank=int(os.environ["RANK"]), num=int(os.environ["WORLD_SIZE"]), meet="env://")
    known = {NEIGHBOURS: _neighbours, **jobs}
    try:
        while (called := _hear())[0]:
            name, arguments = called
            known[name](**arguments)
    except NoisycleanError:
        return  # The first process found the same and says so.
    finally:
        _part()


def call_team(job: str, **arguments: object) -> None:
    """Have all other processes do a job now; the caller then does the same. Nothing happens where there are none.

    Args:
        job: Its name; an empty one ends their service.
        arguments: What it is called with; they are copied to every process.
    """
    if _calls:
        dist.broadcast_object_list([(job, arguments)], src=0, group=_calls[0])


def shared_neighbours(z_ND: Tensor, *, num_neighbours: int, group_N: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """:func:`~noisyclean.engine.neighbours.nearest_neighbours`, by all processes of the team."""
    group = None if group_N is None else group_N.cpu()
    call_team(NEIGHBOURS, z_ND=z_ND.cpu(), num_neighbours=num_neighbours, group_N=group, device=z_ND.device.type)
    return sharded_neighbours(z_ND, num_neighbours=num_neighbours, group_N=group_N)


def _neighbours(*, z_ND: Tensor, num_neighbours: int, group_N: Tensor | None, device: str) -> None:
    group_N = None if group_N is None else group_N.to(device)
    sharded_neighbours(z_ND.to(device), num_neighbours=num_neighbours, group_N=group_N)


def _hear() -> tuple[str, dict[str, Any]]:
    """The next call."""
    called: list[Any] = [None]
    dist.broadcast_object_list(called, src=0, group=_calls[0])
    name, arguments = called[0]
    return name, arguments


def _join(*, rank: int, num: int, meet: str) -> None:
    """Meet the others; tensors on a CPU travel by gloo, those on an accelerator by NCCL."""
    place = int(os.environ.get("LOCAL_RANK", rank))
    has_own_device = place < torch.cuda.device_count()
    if has_own_device:
        torch.cuda.set_device(place)
    backend = "cpu:gloo,cuda:nccl" if has_own_device else "gloo"
    dist.init_process_group(backend, init_method=meet, rank=rank, world_size=num, timeout=MEETING)
    group = dist.new_group(backend="gloo", timeout=WAITING)
    assert isinstance(group, dist.ProcessGroup), "all processes are in it"
    _calls.append(group)


def _part() -> None:
    _calls.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def _num_started() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port: int = free.getsockname()[1]
    return port


def _start_follower(rank: int, num: int, port: int) -> subprocess.Popen[bytes]:
    """Start another process on this machine, out of reach of this one's Ctrl-C."""
    place = {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(port), "WORLD_SIZE": str(num)}
    place |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    return subprocess.Popen([sys.executable, "-m", "noisyclean"], env={**os.environ, **place}, start_new_session=True)
