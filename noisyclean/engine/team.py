"""Processes led by the first of them: it runs the whole job, and calls the others to the parts that are shared.

The others wait until they are called, do their part and wait again; they write nothing. Where ``torchrun`` started the
processes its variables say which is which; otherwise the first process starts the others itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from noisyclean.engine.distributed import sharded_neighbours
from noisyclean.errors import EnvironmentProblem, NoisycleanError, UsageError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

__all__ = ["call_team", "follow", "gathered", "shared_neighbours", "team_size"]

MEETING = timedelta(minutes=5)
"""Longest wait for all processes to start, and for one of them within a shared part."""
WAITING = timedelta(days=30)
"""Longest wait between two shared parts."""
LOOKS_S, DYING_S = 0.05, 2.0
"""Time between two looks at the others while they start, and for one that hung up to end."""
NEIGHBOURS = "neighbours"
LOOPBACK = "127.0.0.1"
PORT = "NOISYCLEAN_TEAM_PORT"
"""Variable that says where the first process waits for those it started."""

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
        EnvironmentProblem: There are fewer accelerators, or another process ended too early.
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
            _join(rank=0, num=num)
        else:
            store = _store(0, num, is_first=True)
            followers += [_start_follower(rank, num, store.port) for rank in range(1, num)]
            _await(followers, store)
            _join(rank=0, num=num, store=store)
        yield
        call_team("")
    except RuntimeError:
        _require_alive(followers, within_s=DYING_S)  # That is why they did not answer.
        raise
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
    rank, num, port = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get(PORT, 0))
    store = _store(port, num) if port else None
    if store is not None:
        store.set(_place(rank), "")
    _join(rank=rank, num=num, store=store)
    known = {NEIGHBOURS: _neighbours, **jobs}
    try:
        while (called := _hear())[0]:
            name, arguments = called
            known[name](**arguments)
    except NoisycleanError as error:  # The first process mostly finds the same, but not what this one alone lacks.
        sys.stderr.write(f"process {rank}: {error.message}\n")
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


def _store(port: int, num: int, *, is_first: bool = False) -> TCPStore:
    """Where processes of this machine tell each other their addresses."""
    return dist.TCPStore(  # type: ignore[attr-defined]
        LOOPBACK, port, num, is_master=is_first, wait_for_workers=False, timeout=MEETING
    )


def _place(rank: int) -> str:
    """Key of a process that has started."""
    return f"here/{rank}"


def _await(followers: Sequence[subprocess.Popen[bytes]], store: TCPStore) -> None:
    """Wait until all have started.

    Raises:
        EnvironmentProblem: One ended instead, or it takes too long.
    """
    places = [_place(rank) for rank in range(1, len(followers) + 1)]
    last_s = time.monotonic() + MEETING.total_seconds()
    while not store.check(places):
        _require_alive(followers)
        if time.monotonic() > last_s:
            raise EnvironmentProblem(f"--gpus {len(followers) + 1}: the other processes did not start in {MEETING}")
        time.sleep(LOOKS_S)


def _require_alive(followers: Sequence[subprocess.Popen[bytes]], *, within_s: float = 0.0) -> None:
    """Look whether a process that we started has ended, for so long at most.

    Raises:
        EnvironmentProblem: Which one, and how.
    """
    last_s = time.monotonic() + within_s
    while True:
        for rank, process in enumerate(followers, start=1):
            if process.poll() is not None:
                raise EnvironmentProblem(
                    f"--gpus {len(followers) + 1}: process {rank} ended with exit code {process.returncode}",
                    hint="Its own words are above, if it had any; -9 is the system's answer to a lack of memory.",
                )
        if not followers or time.monotonic() >= last_s:
            return
        time.sleep(LOOKS_S)


def _join(*, rank: int, num: int, store: TCPStore | None = None) -> None:
    """Meet the others, by ``torchrun``'s variables where no store is given.

    Tensors on a CPU travel by gloo, those on an accelerator by NCCL.
    """
    place = int(os.environ.get("LOCAL_RANK", rank))
    has_own_device = place < torch.cuda.device_count()
    if has_own_device:
        torch.cuda.set_device(place)
    backend = "cpu:gloo,cuda:nccl" if has_own_device else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=num, timeout=MEETING)
    group = dist.new_group(backend="gloo", timeout=WAITING)
    assert isinstance(group, dist.ProcessGroup), "all processes are in it"
    _calls.append(group)


def _part() -> None:
    _calls.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def _num_started() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _start_follower(rank: int, num: int, port: int) -> subprocess.Popen[bytes]:
    """Start another process on this machine, out of reach of this one's Ctrl-C."""
    place = {PORT: str(port), "WORLD_SIZE": str(num), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    return subprocess.Popen([sys.executable, "-m", "noisyclean"], env={**os.environ, **place}, start_new_session=True)
