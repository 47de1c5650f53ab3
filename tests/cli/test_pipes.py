"""What is on the other side of stdout."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of another kind")
def test_a_pipe_that_is_closed_is_no_bug() -> None:
    words = [sys.executable, "-m", "noisyclean", "list", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "bug" not in process.stderr.read()
        assert process.wait() == 141
