"""``demo``: the main job on images that ship with scikit-learn, with errors we put in and can count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noisyclean.base.files import refuse_place
from noisyclean.base.log import Reporter, Silent
from noisyclean.data.demo import write_digits
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
    """
    refuse_place(Path(out), is_folder=True)
    data, run = Path(out) / "data", Path(out) / "run"
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
