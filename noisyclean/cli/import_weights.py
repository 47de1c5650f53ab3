"""``noisyclean import-weights``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import next_command, print_json, print_line

__all__ = ["import_weights"]


def import_weights(
    checkpoint: Annotated[Path, typer.Argument(help="A .safetensors, .pt or .pth file.", show_default=False)],
    *,
    to: Annotated[Path, typer.Option(help="The model folder to write.", show_default=False)],
    backbone: Annotated[
        str | None, typer.Option(help="Architecture of the checkpoint: a timm name.", show_default="found out")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Side in pixels of the images it was trained on.", show_default="the architecture's"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make a model folder of a foreign checkpoint; nothing in it is run."""
    from noisyclean.pipeline.import_weights import import_weights as run_import

    result = run_import(checkpoint, to=to, backbone=backbone, size=size)
    print_line(f"{result['architecture']}: {result['matched']:.1%} of its weights found")
    next_command("noisyclean", "train", "IMAGES", "LABELS.csv", "--out", "RUN", "--init", f"local-dir:{to}")
    if as_json:
        print_json(result)
