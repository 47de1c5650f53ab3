"""``noisyclean predict``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_line, print_table, words_for

__all__ = ["predict"]


def predict(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="A model folder such as RUN/model.", show_default=False)],
    images: Annotated[Path, typer.Argument(help="A folder of images, or a table of paths.", show_default=False)],
    labels: Annotated[
        Path | None, typer.Argument(help="Table that lists some images of the folder.", show_default=False)
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="CSV to write the predictions to.", show_default=False)],
    device: options.Device = "auto",
    encoding: options.Encoding = None,
    image_column: options.ImageColumn = None,
    strip_prefix: options.StripPrefix = None,
    max_bad: options.MaxBad = 0.1,
    as_json: options.Json = False,
) -> None:
    """Predict the class of images with a model folder."""
    from noisyclean.pipeline.predict import predict as run_predict

    found = run_predict(
        model,
        images,
        labels,
        out=out,
        device=device,
        encoding=encoding,
        image_column=image_column,
        strip_prefix=strip_prefix,
        max_bad=max_bad,
        reporter=Terminal(),
    )
    largest = sorted(found["classes"], key=lambda row: -row["num_images"])[:10]
    print_table("predicted", [(row["name"], f"{row['num_images']:,}") for row in largest])
    bad = f", {found['num_bad']:,} cannot be read: {found['bad']}" if found["bad"] else ""
    print_line(f"{found['num_images']:,} images in {out}{bad}")
    folder = images if images.is_dir() else images.parent
    told = ("--label-column", "predicted_label", *words_for(context, "strip_prefix"))
    next_run = out.with_name(f"{out.stem}-audit")
    if next_run.resolve().is_relative_to(folder.resolve()):  # IMAGES is never written to
        next_run = folder.resolve().with_name(next_run.name)
    next_command("noisyclean", "audit", folder, out, *told, "--out", next_run)
    if as_json:
        print_json(found)
