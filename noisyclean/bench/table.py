"""A speed table in words, beside an earlier one, and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from noisyclean import __version__
from noisyclean.base.files import atomic_path
from noisyclean.base.runtime import Runtime

__all__ = ["compare_rows", "describe_machine", "draw_rows"]


def describe_machine(runtime: Runtime) -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    is_cuda = runtime.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(runtime.device) if is_cuda else "cpu",
        "threads": runtime.threads,
        "memory_gib": round(memory / 2**30),
        "dtype": str(runtime.dtype).removeprefix("torch."),
        "compiled": runtime.compiles,
        "replayed": is_cuda and runtime.replays,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "noisyclean": __version__,
    }


def compare_rows(table: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The table with ``against`` in every row: our rate and the ratio, each over the earlier one's."""
    before = {row["name"]: row for row in earlier["rows"]}
    rows = []
    for row in table["rows"]:
        old = before.get(row["name"], {})
        change = {
            name: row[name] / old[name] if row.get(name) and old.get(name) else None for name in ("ours", "ratio")
        }
        rows.append({**row, "against": change})
    return {**table, "rows": rows}


def draw_rows(table: Mapping[str, Any], path: Path) -> Path:
    """A bar for each row: how many times the peer's speed ours is, on a logarithmic axis; returns the path."""
    from matplotlib.figure import Figure

    rows = [row for row in table["rows"] if row["ratio"] is not None][::-1]
    figure = Figure(figsize=(7, 0.8 + 0.45 * max(1, len(rows))), layout="constrained")
    axes = figure.add_subplot()
    ratios = [row["ratio"] for row in rows]
    colours = ["tab:blue" if ratio >= 1 else "tab:orange" for ratio in ratios]
    bars = axes.barh([f"{row['name']}\n{row['peer_name']}" for row in rows], ratios, color=colours)
    axes.bar_label(bars, labels=[f"{ratio:.2f}" for ratio in ratios], padding=3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("our speed / the peer's")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or "svg")
    return path
