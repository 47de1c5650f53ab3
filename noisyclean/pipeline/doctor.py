"""``doctor``: what this machine offers, and what noisyclean would do with it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from noisyclean import __version__
from noisyclean.base.runtime import choose_runtime

__all__ = ["doctor"]

SCHEMA_VERSION = 1
LIBRARIES = ("torch", "torchvision", "timm", "scikit-learn", "numpy", "pandas", "pillow", "typer", "rich")
EXTRAS = {
    "parquet": "pyarrow",
    "xlsx": "openpyxl",
    "heic": "pillow-heif",
    "fast": "torchcodec",
    "onnx": "onnx",
    "tensorboard": "tensorboard",
    "viz": "umap-learn",
    "bench": "cleanlab",
}


def doctor() -> dict[str, Any]:
    """Versions, device, dtype, threads, free disk and extras; ``problems`` is empty when all is well."""
    runtime = choose_runtime()
    extras = {extra: _version(library) for extra, library in EXTRAS.items()}
    problems = [f"{library} is missing" for library in LIBRARIES if _version(library) is None]
    free_bytes = shutil.disk_usage(Path.cwd()).free
    if free_bytes < 2**30:
        problems.append("less than 1 GiB of disk is free here")
    return {
        "schema_version": SCHEMA_VERSION,
        "noisyclean": __version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "libraries": {library: _version(library) for library in LIBRARIES},
        "extras": extras,
        "choices": runtime.reasons,
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "free_disk_bytes": free_bytes,
        "network": "not used: no telemetry, no update check; only --init pretrained:NAME may download",
        "problems": problems,
    }


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
