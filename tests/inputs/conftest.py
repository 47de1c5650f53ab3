"""A dozen small pictures, and the check that no input case ever changes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisyclean.base.files import sha256_file
from noisyclean.data.shapes import draw_shape
from tests.conftest import Result, Run

NAMES = tuple(f"{index:02d}.png" for index in range(12))
LABELS = tuple("cat" if index % 2 else "dog" for index in range(12))
QUICK = ("--preset", "quick", "--set", "probe.epochs=1", "--set", "probe.batch=8", "--size", "16")
"""Options that make an audit of a dozen pictures a matter of a second."""


@dataclass(frozen=True)
class Case:
    """A folder of pictures, and a place for tables and runs."""

    root: Path
    images: Path
    cli: Run

    def table(self, content: str | bytes, name: str = "labels.csv") -> Path:
        """Write a table as it stands."""
        path = self.root / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def check(self, labels: Path | None, *more: object) -> Result:
        """Read and check the input; nothing is decoded or trained."""
        words = [self.images, *([labels] if labels else []), "--out", self.root / "run", "--dry-run", "--json"]
        return self.cli("audit", *words, *more)

    def audit(self, labels: Path | None, *more: object, out: str = "run") -> Result:
        """Audit for real, in the shortest way."""
        words = [self.images, *([labels] if labels else []), "--out", self.root / out, *QUICK]
        return self.cli("audit", *words, *more)


def rows_of(separator: str = ",", names: tuple[str, ...] = NAMES) -> str:
    """A plain table of all pictures."""
    cells = [("path", "label"), *zip(names, LABELS, strict=False)]
    return "".join(separator.join(row) + "\n" for row in cells)


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Everything that must not change below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, sha256_file(path)) for path in files}


@pytest.fixture
def case(tmp_path: Path, cli: Run) -> Iterator[Case]:
    """Twelve pictures; a test may add to them before its first command and nobody may after."""
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    for index, name in enumerate(NAMES):
        Image.fromarray(draw_shape("disc" if index % 2 else "bar", generator)).save(images / name)
    before: list[dict[str, tuple[int, str]]] = []

    def watched(*words: object) -> Result:
        if not before:
            before.append(contents(images))
        return cli(*words)

    yield Case(tmp_path, images, watched)
    if before:
        assert contents(images) == before[0], "a command wrote to IMAGES"
