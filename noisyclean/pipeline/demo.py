"""``demo``: the main job on images that ship with scikit-learn, with errors we put in and can count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisyclean.base.files import refuse_place
from noisyclean.base.log import Reporter, Silent
from noisyclean.data.demo import digit_tables, write_digits
from noisyclean.errors import UsageError
from noisyclean.pipeline.audit import audit
from noisyclean.pipeline.evaluate import evaluate

__all__ = ["demo"]

RATE = 0.2


def demo(
    *, out: str | Path = "noisyclean-demo", seed: int = 0, overwrite: bool = False, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Write 1,797 hand-written digits with 20 % wrong labels, audit them, and compare with the truth.

    Args:
        out: Gets ``data/images/``, ``data/labels.csv``, ``data/truth.csv`` and the audit ``run/``.
        seed: Of the injected noise and of the audit.
        overwrite: Replace what an earlier demo wrote.
        reporter: Hears about messages and progress.

    Returns:
        ``audit`` (as ``summary.json``) and ``evaluate`` (the figures against the truth).

    Raises:
        UsageError: ``out`` holds something else, or a demo of another seed.
    """
    data, run = Path(out) / "data", Path(out) / "run"
    _refuse_others(Path(out), data, digit_tables(rate=RATE, seed=seed), overwrite=overwrite)
    write_digits(data, rate=RATE, seed=seed)
    summary = audit(
        data / "images",
        data / "labels.csv",
        out=run,
        augment="oriented",
        seed=seed,
        overwrite=overwrite,
        reporter=reporter or Silent(),
    )
    return {"schema_version": 1, "audit": summary, "evaluate": evaluate(run, truth=data / "truth.csv")}


def _refuse_others(out: Path, data: Path, tables: Mapping[str, str], *, overwrite: bool) -> None:
    """Refuse, before anything is written, a folder that is no demo's; the truth, the same for all demos, tells.

    Raises:
        UsageError: It holds something else, or a demo of another seed.
    """
    refuse_place(out, is_folder=True)
    if not out.exists() or not any(out.iterdir()):
        return
    if not _holds(data / "truth.csv", tables["truth.csv"]):
        raise UsageError(f"--out {out}: is not empty and holds no noisyclean demo", hint="Give a new directory.")
    labels = data / "labels.csv"
    if labels.exists() and not overwrite and not _holds(labels, tables["labels.csv"]):
        raise UsageError(
            f"{out} holds a demo of other labels: --seed or the file changed since",
            hint="Give a new --out, or --overwrite to replace what that demo wrote.",
        )


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()
