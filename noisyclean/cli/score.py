"""``noisyclean score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, console, next_command, print_json, words_for
from noisyclean.errors import QualityGateFailed

__all__ = ["score"]


def score(
    context: typer.Context,
    run: options.Run,
    new: Annotated[Path, typer.Argument(help="Table of new images and labels, or a folder per class.")],
    *,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the new images.", show_default="the run's, else the table's folder"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV to write the scores to.", show_default="NEW.scores.csv here")
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            help="End with exit code 5 if more than this share of the new labels is estimated to be wrong.",
            show_default=False,
        ),
    ] = None,
    encoding: options.Encoding = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    class_level: options.ClassLevel = None,
    strip_prefix: options.StripPrefix = None,
    max_bad: options.MaxBad = 0.1,
    as_json: options.Json = False,
) -> None:
    """Judge new arrivals against a finished audit; no training."""
    from noisyclean.pipeline.score import score as run_score

    found = run_score(
        run,
        new,
        images=images,
        out=out,
        fail_above=fail_above,
        encoding=encoding,
        image_column=image_column,
        label_column=label_column,
        class_level=class_level,
        strip_prefix=strip_prefix,
        max_bad=max_bad,
        reporter=Terminal(),
    )
    console.print(found["verdict"], style="bold", markup=False)
    if as_json:
        print_json(found)
    if not found["passed"]:
        rate = found["noise_rate"]["estimate"]
        raise QualityGateFailed(
            f"{rate:.1%} of the labels are probably wrong, more than the {fail_above:.1%} allowed",
            hint=f"{found['out']} lists them, the worst with the highest p_mislabeled.",
        )
    table = () if new.is_dir() else (new,)
    told = words_for(context, "encoding", "image_column", "label_column", "class_level", "strip_prefix", "max_bad")
    next_run = run.with_name(f"{run.name}-2")
    next_command("noisyclean", "audit", found["images"], *table, *told, "--reuse", run, "--out", next_run)
