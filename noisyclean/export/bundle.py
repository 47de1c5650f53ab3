"""The model folder: timm's ``local-dir:`` form, with everything ``predict`` needs beside the weights.

config.json          architecture, class names, normalisation (timm's keys) and ``noisyclean``: pixel mapping, version
model.safetensors    weights; safe to open from strangers
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from noisyclean import __version__
from noisyclean.base.files import atomic_path, fingerprint, read_json, sha256_file, write_json
from noisyclean.data.decode import PixelMapping
from noisyclean.errors import DataError, UsageError

__all__ = ["Bundle", "read_bundle", "write_bundle"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ADVICE = "MODEL is a folder such as RUN/model, written by audit or train."


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
    write_json(folder / CONFIG, config)
    with atomic_path(folder / WEIGHTS) as temporary:
        shutil.copyfile(weights, temporary)
    return [folder / CONFIG, folder / WEIGHTS]


@dataclass(frozen=True)
class Bundle:
    """A model folder, read and checked."""

    folder: Path
    net: nn.Module
    classes: tuple[str, ...]
    mapping: PixelMapping
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def mark(self) -> str:
        """Hash of everything predictions depend on."""
        return fingerprint([sha256_file(self.folder / name) for name in (CONFIG, WEIGHTS)])


def read_bundle(folder: Path) -> Bundle:
    """Read a model folder and check that its parts fit each other.

    Args:
        folder: One that :func:`write_bundle` wrote, or a run that holds one as ``model/``.

    Raises:
        DataError: A part is missing, damaged, or does not fit the others.
    """
    if not (folder / CONFIG).exists() and (folder / "model" / CONFIG).exists():
        folder = folder / "model"
    config = _read_config(folder)
    classes = tuple(config["label_names"])
    pixels = config["noisyclean"]["pixels"]
    mapping = PixelMapping(**{**pixels, "window": tuple(pixels["window"])})
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder / WEIGHTS}: cannot be read: {error}", hint=ADVICE) from error
    from noisyclean.nn import create_backbone

    try:
        net = create_backbone(config["architecture"], num_classes=len(classes), seed=0)
        net.load_state_dict(state)
    except (UsageError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{folder}: weights and config.json do not fit: {reason}", hint=ADVICE) from error
    cfg = config["pretrained_cfg"]
    return Bundle(folder, net, classes, mapping, tuple(cfg["mean"]), tuple(cfg["std"]))


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.exists():
        raise DataError(f"{folder}: is no model folder (it has no {CONFIG})", hint=ADVICE)
    try:
        config: dict[str, Any] = read_json(path)
        named, counted = config["label_names"], config["num_classes"]
        for key in ("architecture", "pretrained_cfg"):
            config[key]
        config["noisyclean"]["pixels"]["size_px"]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: lacks {error}, which says how images become the model's input", hint=ADVICE
        ) from error
    if len(named) != counted:
        raise DataError(f"{path}: has {len(named)} class names for {counted} classes", hint=ADVICE)
    return config
