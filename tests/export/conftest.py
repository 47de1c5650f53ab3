"""A finished audit whose table has names that spreadsheets, folders and URLs dislike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from noisyclean.base.files import sha256_file
from tests.conftest import CLASSES, Result, Run, make_shapes, write_table
from tests.inputs.conftest import contents

NAMES = dict(zip(CLASSES, ("=bar", "a/disc & <ring>", "007"), strict=True))
SETTINGS = ("probe.epochs=8", "probe.batch=32")


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``images/``, ``labels.csv`` and ``run/``; not to be written to."""
    from noisyclean.pipeline.audit import audit

    root = tmp_path_factory.mktemp("odd")
    shapes = make_shapes(root, 150)
    rows = []
    for index, (name, label) in enumerate(zip(shapes.names, shapes.given, strict=True)):
        place = f"{('a b', 'ü#1')[index % 2]}/{index // 2}?+.png"
        (shapes.images / place).parent.mkdir(exist_ok=True)
        (shapes.images / name).rename(shapes.images / place)
        rows.append((place, NAMES[label]))
    write_table(root / "labels.csv", rows)
    audit(shapes.images, root / "labels.csv", out=root / "run", preset="quick", augment="natural", set=SETTINGS)
    return root


@dataclass(frozen=True)
class Desk:
    """A copy of the run, to be handed over."""

    images: Path
    labels: Path
    run: Path
    root: Path
    cli: Run

    @property
    def flagged(self) -> list[dict[str, Any]]:
        """What was flagged, worst first, labels as they are."""
        scores = pd.read_csv(self.run / "scores.csv", dtype=str, keep_default_na=False).set_index("image_path")
        order = pd.read_csv(self.run / "flagged.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
        return [{"image_path": path, **scores.loc[path]} for path in order["image_path"]]

    def export(self, form: str, *words: object) -> Result:
        """Hand over."""
        return self.cli("export", self.run, "--to", form, *words, "--json")

    def review(self, *sources: object) -> Result:
        """Take back."""
        return self.cli("review", self.run, *sources, "--out", self.root / "cleaned.csv", "--json")

    def changed(self) -> dict[str, tuple[str, str]]:
        """Labels before and after, where they differ."""
        before, after = (
            pd.read_csv(path, dtype=str, keep_default_na=False).set_index("path")["label"]
            for path in (self.labels, self.root / "cleaned.csv")
        )
        return {path: (before[path], after[path]) for path in before.index if before[path] != after[path]}

    def forget_flags(self) -> None:
        """As if nothing had been flagged."""
        flags = self.run / "flagged.csv"
        flags.write_text(flags.read_text(encoding="utf-8-sig").splitlines()[0] + "\n", encoding="utf-8-sig")
        scores = pd.read_csv(self.run / "scores.csv", dtype=str, keep_default_na=False)
        scores.assign(flagged="false").to_csv(self.run / "scores.csv", index=False)


@pytest.fixture
def desk(odd: Path, tmp_path: Path, cli: Run) -> Iterator[Desk]:
    """One run to hand over; neither images nor labels may change meanwhile."""
    shutil.copytree(odd / "run", tmp_path / "run")
    before = contents(odd / "images"), sha256_file(odd / "labels.csv")
    yield Desk(odd / "images", odd / "labels.csv", tmp_path / "run", tmp_path, cli)
    assert (contents(odd / "images"), sha256_file(odd / "labels.csv")) == before
