"""Checkpoints of other people's making, read without unpickling anything and renamed to timm's names."""

from __future__ import annotations

import itertools
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from noisyclean.errors import DataError
from noisyclean.nn.weights import share_matched

__all__ = ["read_checkpoint", "renamed_for"]

WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network", "encoder", "teacher", "student")
"""Keys under which training scripts store the weights."""
PREFIXES = ("module.", "model.", "encoder.", "encoder_q.", "base_encoder.", "backbone.", "net.", "_orig_mod.")
"""What wrappers put before names; peeled off as often as they occur."""
RENAMINGS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    ((r"\bshortcut\.", "downsample."), (r"^linear\.", "fc.")),
)
"""Other people's names for timm's parts: first as they are, then as in SupContrast's and similar ResNets."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by their own names, wrappers taken off.

    Raises:
        DataError: It is no file, not readable without running code, or holds no tensors.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint="CKPT is a .safetensors, .pt or .pth file.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{path}: cannot be read safely",
            hint="Files that run code when opened are refused; save the state_dict alone, or as safetensors.",
        ) from error
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = (
        {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise DataError(f"{path}: holds no weights by name", hint="It should hold a state_dict.")
    return tensors


def renamed_for(net: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float, list[str]]:
    """The state under the names that fit a net best.

    Returns:
        The renamed state, the share of the net's tensors (its classifier's left out) that are in it, and those missing.
    """
    best: tuple[dict[str, Tensor], float, list[str]] = ({}, -1.0, [])
    for renaming, prefix in itertools.product(RENAMINGS, _prefixes(state)):
        names = {name: _renamed(name[len(prefix) :], renaming) for name in state if name.startswith(prefix)}
        candidate = {new: state[old] for old, new in names.items()}
        share, missing = share_matched(net, candidate)
        if share > best[1]:
            best = (candidate, share, missing)
    return best


def _prefixes(state: Mapping[str, Tensor]) -> list[str]:
    """Every chain of known prefixes that some name starts with, the empty one among them."""
    found = {""}
    for name in state:
        chain = ""
        while prefix := next((known for known in PREFIXES if name[len(chain) :].startswith(known)), ""):
            chain += prefix
            found.add(chain)
    return sorted(found)


def _renamed(name: str, renaming: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in renaming:
        name = re.sub(pattern, replacement, name)
    return name
