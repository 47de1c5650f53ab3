"""The model folder: timm's ``local-dir:`` form, with everything ``predict`` needs beside the weights.

config.json          architecture, class names, normalisation (timm's keys) and ``noisyclean``: pixel mapping, version
model.safetensors    weights; safe to open from strangers
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from noisyclean import __version__
from noisyclean.base.files import atomic_path, write_json
from noisyclean.data.decode import PixelMapping

__all__ = ["write_bundle"]


def write_bundle(
    folder: Path,
    weights: Path,
    *,
    architecture: str,
    classes: Sequence[str],
    mapping: PixelMapping,
    mean: Sequence[float],
    std: Sequence[float],
    method: str,
) -> list[Path]:
    """Write a model folder and return its files.

    Args:
        folder: Where to.
        weights: A safetensors file of the network's state.
        architecture: timm name.
        classes: Class names in the order of the outputs.
        mapping: How files become pixels.
        mean: Of each channel, in [0, 1].
        std: Of each channel.
        method: How it was trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architecture": architecture,
        "num_classes": len(classes),
        "label_names": list(classes),
        "pretrained_cfg": {
            "input_size": [3, mapping.size_px, mapping.size_px],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "num_classes": len(classes),
            "label_names": list(classes),
        },
        "noisyclean": {"version": __version__, "method": method, "pixels": asdict(mapping)},
    }
    write_json(folder / "config.json", config)
    with atomic_path(folder / "model.safetensors") as temporary:
        shutil.copyfile(weights, temporary)
    return [folder / "config.json", folder / "model.safetensors"]
