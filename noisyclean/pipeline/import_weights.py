"""``import-weights``: somebody else's checkpoint as a model folder that ``--init local-dir:`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from safetensors.torch import save_file

import noisyclean.nn  # noqa: F401  registers our nets
from noisyclean.base.files import atomic_path, refuse_place, write_json
from noisyclean.errors import DataError, UsageError
from noisyclean.nn import create_backbone
from noisyclean.nn.foreign import read_checkpoint, renamed_for
from noisyclean.nn.weights import LEAST_MATCHED, load_encoder

__all__ = ["import_weights"]

SCHEMA_VERSION = 1
CANDIDATES = (
    "noisyclean_resnet18",
    "noisyclean_resnet34",
    "noisyclean_resnet50",
    "resnet18",
    "resnet34",
    "resnet50",
    "noisyclean_compact",
    "noisyclean_preact_resnet18",
)
"""Architectures tried when none is named."""


def import_weights(
    checkpoint: str | Path, *, to: str | Path, backbone: str | None = None, size: int | None = None
) -> dict[str, Any]:
    """Read a foreign checkpoint, weights only, and write a model folder without classifier.

    Args:
        checkpoint: A ``.safetensors``, ``.pt`` or ``.pth`` file; nothing in it is run.
        to: The model folder; must not exist, or be empty.
        backbone: timm name of its architecture; found out among the usual ones by default.
        size: Side of the images it learnt from, in pixels; the architecture's own by default.

    Returns:
        ``architecture``, ``matched`` (share of the net's weights that were found) and ``missing``.

    Raises:
        UsageError: There is something at ``to``.
        DataError: The file cannot be read, or has under 99 % of the architecture's weights.
    """
    folder = Path(to)
    refuse_place(folder, "--to", is_folder=True)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--to {folder}: is not empty", hint="Name a new folder.")
    state = read_checkpoint(Path(checkpoint))
    tried = {
        name: renamed_for(create_backbone(name, num_classes=0, seed=0), state)
        for name in ([backbone] if backbone else CANDIDATES)
    }
    name = max(tried, key=lambda key: tried[key][1])
    renamed, share, missing = tried[name]
    if share < LEAST_MATCHED:
        which = name if backbone else f"the nearest architecture, {name},"
        another = "another" if backbone else "its"
        raise DataError(
            f"{checkpoint}: {which} finds {share:.0%} of its weights; {missing[0]} is the first one missing",
            hint=f"Name {another} architecture: --backbone NAME. The checkpoint begins with {next(iter(state))}.",
        )
    net = create_backbone(name, num_classes=0, seed=0)
    load_encoder(net, renamed, source=str(checkpoint))
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, temporary)
    write_json(folder / "config.json", _config(name, size))
    return {"schema_version": SCHEMA_VERSION, "architecture": name, "matched": share, "missing": missing}


def _config(name: str, size: int | None) -> dict[str, Any]:
    known = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    side = size or known.input_size[-1]
    return {
        "architecture": name,
        "num_classes": 0,
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "mean": list(known.mean),
            "std": list(known.std),
            "num_classes": 0,
        },
    }
