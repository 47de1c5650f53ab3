"""Importing the library and asking for help must cost nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pandas", "sklearn", "timm", "matplotlib", "PIL")


def modules_after(code: str) -> set[str]:
    """Top-level modules loaded by a fresh interpreter that runs ``code``."""
    script = f"import sys\n{code}\nprint('\\n'.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import noisyclean",
        "import noisyclean.cli.app",
        "from typer.testing import CliRunner\nfrom noisyclean.cli.app import app\n"
        "for words in (['--help'], ['audit', '--help'], ['--version']):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0",
        "from typer.testing import CliRunner\nfrom noisyclean.cli.app import app\n"
        "for verb in ('audit', 'train'):\n"
        "    assert CliRunner().invoke(app, [verb, 'nowhere', '--out', 'run']).exit_code == 3",
    ],
    ids=["import", "import the command line", "--help", "a folder that is not there"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert not modules_after(code) & set(HEAVY)


def test_decoding_needs_no_torch() -> None:
    assert "torch" not in modules_after("import noisyclean.data.decode, noisyclean.data.store, noisyclean.data.ingest")


def test_nets_are_imported_when_there_is_something_to_train() -> None:
    assert not modules_after("import noisyclean.pipeline.audit") & {"timm", "torchvision", "sklearn"}
