"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisyclean.base.files import write_npz


def test_arrays_alone_are_stored_whatever_the_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy 1.26 stores every keyword as an array."""
    stored: dict[str, object] = {}
    monkeypatch.setattr(np, "savez", lambda _, **arrays: stored.update(arrays))
    write_npz(tmp_path / "a.npz", {"z_ND": np.zeros((2, 3))})
    assert list(stored) == ["z_ND"]


def test_arrays_that_need_pickle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names is of objects"):
        write_npz(tmp_path / "a.npz", {"names": np.asarray(["a"], dtype=object)})
    assert not list(tmp_path.iterdir())
