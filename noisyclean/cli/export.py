"""``noisyclean export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import console, next_command, print_json

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="A finished run, or a model folder.", show_default=False)],
    *,
    to: Annotated[str, typer.Option(help="onnx.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where to.", show_default="model.onnx beside the model")] = None,
    as_json: options.Json = False,
) -> None:
    """Hand a run's model over."""
    from noisyclean.pipeline.export import export_run

    result = export_run(run, to=to, out=out)
    console.print(f"{result['path']}: logits equal torch's within {result['largest_difference']:.1g}", markup=False)
    next_command("noisyclean", "predict", run, "IMAGES", "--out", "predictions.csv")
    if as_json:
        print_json(result)
