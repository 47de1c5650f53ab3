"""``noisyclean export``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_line

__all__ = ["export"]

RETURNED = {"labelstudio": "EXPORT.json", "folders": None, "xlsx": None}
"""What annotators give back; None where it is what was written."""


def export(
    run: Annotated[
        Path, typer.Argument(help="A finished audit; for onnx any run or model folder.", show_default=False)
    ],
    *,
    to: Annotated[
        str,
        typer.Option(
            help="labelstudio (tasks with suggestions), folders (links to sort by hand), xlsx (a workbook with "
            "thumbnails) or onnx (the model).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File or folder to write.",
            show_default="RUN/labelstudio/, RUN/to-sort/, RUN/flagged.xlsx or RUN/model/model.onnx",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace what is there; in a folder to sort, only what an export put there."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Hand the flagged images over to annotators, or the model to other software."""
    from noisyclean.pipeline.export import export as run_export

    result = run_export(run, to=to, out=out, overwrite=overwrite, reporter=Terminal())
    path = result["path"]
    if to in RETURNED:
        print_line(f"{path}: {result['num_images']:,} flagged images")
        next_command("noisyclean", "review", run, RETURNED[to] or path, "--out", "labels.cleaned.csv")
    else:
        print_line(f"{path}: logits equal torch's within {result['largest_difference']:.1g}")
        next_command("noisyclean", "predict", run, "IMAGES", "--out", "predictions.csv")
    if as_json:
        print_json(result)
