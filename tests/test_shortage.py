"""What the machine lacks is told as that, with exit code 4, whichever library found it out."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from noisyclean.base.files import atomic_path, exclusive_lock, write_text
from noisyclean.base.shortage import shortage
from noisyclean.engine.checkpoint import Checkpoint
from noisyclean.errors import EnvironmentProblem
from tests.conftest import CLASSES, Run, Shapes, make_shapes

GREEDY = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from noisyclean.detect.signal import signals

@signals.register("greedy")
@dataclass(frozen=True)
class Greedy:
    \"\"\"Wants more memory than there is.\"\"\"

    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, evidence, *, device):
        return torch.empty(10**15)
"""


def of(work: Callable[[], object]) -> Exception:
    """What it raises."""
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def fail(error: Exception) -> None:
    raise error


@contextmanager
def disk_of(num_bytes: int) -> Iterator[None]:
    """Files of this process may not grow beyond this size while the block runs, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nothing may be written to the folder while the block runs; the superuser, who always may, is somebody else."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights are another matter here")
    user = os.geteuid()
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: torch.empty(10**15), "out of memory"),
        (lambda: np.empty(10**15), "out of memory"),
        (lambda: fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")), "2.00 GiB"),
        (lambda: fail(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling …")), "out of memory"),
        (lambda: fail(MemoryError()), "out of memory"),
        (lambda: fail(OSError(errno.ENOMEM, "Cannot allocate memory")), "out of memory"),
        (lambda: fail(OSError(errno.ENOSPC, "No space left on device", "x.npy")), "the disk is full.*x.npy"),
        (lambda: fail(OSError(errno.EROFS, "Read-only file system", "x.npy")), "no access.*x.npy"),
    ],
)
def test_lack_of_something_is_known(work: Callable[[], object], said: str) -> None:
    problem = shortage(of(work))
    assert problem is not None
    with pytest.raises(EnvironmentProblem, match=said):
        raise problem
    assert problem.hint


def test_a_bug_stays_a_bug() -> None:
    assert shortage(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert shortage(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None


@pytest.mark.parametrize("save", [torch.save, lambda state, path: save_file(state, path)])
def test_a_full_disk_leaves_the_old_file_as_it_was(tmp_path: Path, save: Callable[..., object]) -> None:
    path = tmp_path / "net"
    write_text(path, "before")
    with (
        disk_of(2**16),
        pytest.raises(EnvironmentProblem, match="net was not written: the disk is full"),
        atomic_path(path) as temporary,
    ):
        save({"w": torch.zeros(2**16)}, temporary)
    assert [file.name for file in tmp_path.iterdir()] == ["net"]
    assert path.read_text(encoding="utf-8") == "before"


def test_a_checkpoint_that_the_disk_does_not_take_is_no_bug(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c.pt")
    with disk_of(2**16), pytest.raises(EnvironmentProblem, match="the disk is full"):
        checkpoint.save({"w": torch.zeros(2**16)})


def test_an_error_of_a_writer_on_a_disk_with_room_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"), atomic_path(tmp_path / "x"):
        raise RuntimeError("broken")
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    with locked(tmp_path):
        for path in (tmp_path / "x.csv", tmp_path / "deeper" / "x.csv"):
            with pytest.raises(EnvironmentProblem, match=r"x.csv was not written: no access"):
                write_text(path, "")
        with (
            pytest.raises(EnvironmentProblem, match="cannot be written to: no access"),
            exclusive_lock(tmp_path / ".lock"),
        ):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="locks of another kind")
@pytest.mark.parametrize(
    ("code", "said"), [(errno.EAGAIN, "another noisyclean process"), (errno.ENOSYS, "cannot be locked")]
)
def test_a_disk_without_locks_is_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(EnvironmentProblem, match=said), exclusive_lock(tmp_path / ".lock"):
        pass


def test_the_command_says_which_stage_lacked_memory(cli: Run, shapes: Shapes, tmp_path: Path) -> None:
    plugin, p = tmp_path / "greedy.py", tmp_path / "p.npy"
    plugin.write_text(GREEDY, encoding="utf-8")
    np.save(p, 0.1 + 0.7 * np.eye(3)[[CLASSES.index(name) for name in shapes.true]])
    words = ("--pred-probs", p, "--plugin", plugin, "--out", tmp_path / "run")
    result = cli("audit", shapes.images, shapes.labels, *words)
    assert result.exit_code == 4
    assert "error: score: out of memory" in result.stderr
    assert "--set simclr.batch=" in result.stderr
    assert "bug" not in result.stderr


def test_the_command_says_that_out_cannot_be_written(cli: Run) -> None:
    import noisyclean.pipeline.audit  # noqa: F401  somebody else may not be allowed to read it

    with tempfile.TemporaryDirectory() as name:
        shapes = make_shapes(Path(name) / "shapes", 12)
        with locked(shapes.root.parent):
            result = cli("audit", shapes.images, shapes.labels, "--out", shapes.root.parent / "run")
    assert result.exit_code == 4
    assert "run: no access: [Errno 13]" in result.stderr
