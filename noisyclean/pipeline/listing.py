"""``list``: the plugins that are there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import timm

import noisyclean.nn  # noqa: F401  registers our nets
from noisyclean.detect.signal import signals
from noisyclean.registry import plugins
from noisyclean.robust.method import methods

__all__ = ["list_plugins"]

SCHEMA_VERSION = 1


def list_plugins(*, plugin: Iterable[str | Path] = ()) -> dict[str, Any]:
    """Signals, robust methods and our own backbones, each with the first line of its description.

    Args:
        plugin: Python files that define more.
    """
    with plugins(plugin):
        return _list()


def _list() -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "signals": [{"name": name, "about": _about(signals.get(name))} for name in signals.names()],
        "methods": [{"name": name, "about": _about(methods.get(name))} for name in methods.names()],
        "backbones": [
            {"name": name, "about": _about(timm.model_entrypoint(name))} for name in timm.list_models("noisyclean_*")
        ],
    }


def _about(item: object) -> str:
    return (inspect.getdoc(item) or "").partition("\n")[0]
