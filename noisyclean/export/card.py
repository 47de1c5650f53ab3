"""The model card: what a model folder is, what it is worth, and how to use it, for whoever finds it later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noisyclean import __version__

__all__ = ["model_card"]


def model_card(summary: Mapping[str, Any], *, architecture: str) -> str:
    """The card as Markdown.

    Args:
        summary: What the training's ``summary.json`` will hold.
        architecture: timm's name of the net.
    """
    needs_us = architecture.startswith("noisyclean_")
    names = [row["name"] for row in summary["classes"]]
    lines = [
        "---",
        "library_name: timm",
        "tags: [image-classification, noisy-labels, noisyclean]",
        "---",
        "",
        f"# {architecture}, trained on noisy labels with {summary['method']}",
        "",
        f"Trained by noisyclean {__version__} on {summary['num_images']:,} images of {len(names)} classes, of whose "
        f"labels about {summary['noise_rate']['estimate']:.0%} are wrong by its own estimate. Weights after the last "
        "epoch.",
        "",
        summary["verdict"],
        "",
        "```python",
        *(["import noisyclean.nn  # registers the architecture"] if needs_us else []),
        "import timm",
        "",
        'model = timm.create_model("local-dir:PATH-OF-THIS-FOLDER", pretrained=True).eval()',
        "```",
        "",
        "Or without writing code: `noisyclean predict PATH-OF-THIS-FOLDER IMAGES --out predictions.csv`. How pixels "
        "are prepared is in `config.json` under `noisyclean.pixels` (size, window) and `pretrained_cfg` (mean, std).",
        "",
        f"Classes, in the order of the outputs: {', '.join(names)}.",
        "",
        "Probabilities are those of a net trained with mixup on labels that were partly wrong; check their calibration "
        "on images of your own before you act on them.",
    ]
    return "\n".join(lines) + "\n"
