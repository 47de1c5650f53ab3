"""``noisyclean corrupt``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import console, next_command, print_json

__all__ = ["corrupt"]


def corrupt(
    labels: Annotated[Path, typer.Argument(help="Table of labels.", show_default=False)],
    *,
    kind: Annotated[
        str, typer.Option(help="symmetric, symmetric-including-true, asymmetric or instance-dependent.")
    ] = "symmetric",
    rate: Annotated[float, typer.Option(help="Share of the labels to make wrong, from 0 to 1.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Table to write.", show_default=False)],
    map: Annotated[
        str,
        typer.Option(
            help="For asymmetric noise: which class turns into which, such as truck=automobile,cat=dog.",
            show_default="each class to the next",
        ),
    ] = "",
    pred_probs: Annotated[
        Path | None,
        typer.Option(
            help="pred_probs.npz of an audit: instance-dependent noise, or asymmetric as it confuses classes.",
            show_default=False,
        ),
    ] = None,
    encoding: options.Encoding = None,
    label_column: options.LabelColumn = None,
    image_column: options.ImageColumn = None,
    seed: options.Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out, whatever it holds.")] = False,
    as_json: options.Json = False,
) -> None:
    """Put known errors into a label table."""
    from noisyclean.pipeline.corrupt import corrupt as run_corrupt

    result = run_corrupt(
        labels,
        kind=kind,
        rate=rate,
        out=out,
        map=map,
        pred_probs=pred_probs,
        encoding=encoding,
        label_column=label_column,
        image_column=image_column,
        seed=seed,
        overwrite=overwrite,
    )
    console.print(f"{result['num_changed']:,} of {result['num_rows']:,} labels changed ({result['rate']:.1%})")
    next_command("noisyclean", "audit", "IMAGES", out, "--out", "RUN")
    if as_json:
        print_json(result)
