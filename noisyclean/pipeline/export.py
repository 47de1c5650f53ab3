"""``export``: hand a finished run's results over in another form.

The function is ``export_run``, because ``noisyclean.export`` is a package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noisyclean.errors import UsageError
from noisyclean.export.onnx import export_onnx

__all__ = ["export_run"]

SCHEMA_VERSION = 1
TARGETS = ("onnx",)


def export_run(run: str | Path, *, to: str, out: str | Path | None = None) -> dict[str, Any]:
    """Export from a run.

    Args:
        run: A finished run, or a model folder.
        to: ``onnx``.
        out: Where to; ``model.onnx`` beside the model by default.

    Returns:
        ``path`` and, for ``onnx``, ``largest_difference`` of a logit from torch's.

    Raises:
        UsageError: An unknown form, or nothing to export.
    """
    if to not in TARGETS:
        raise UsageError(f"--to {to}: unknown", hint=f"Choose one of {', '.join(TARGETS)}.")
    folder = Path(run)
    model = folder / "model" if (folder / "model" / "config.json").is_file() else folder
    path = Path(out) if out else model / "model.onnx"
    return {"schema_version": SCHEMA_VERSION, "path": str(path), **export_onnx(model, path)}
