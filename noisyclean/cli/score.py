"""``noisyclean score``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_verdict, require_passed, words_for

__all__ = ["score"]


def score(
    context: typer.Context,
    run: options.Run,
    new: Annotated[Path, typer.Argument(help="Table of new images and labels, or a folder per class.")],
    *,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the new images.", show_default="the table's folder, else the run's"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV to write the scores to.", show_default="NEW.scores.csv here")
    ] = None,
    fail_above: options.FailAbove = None,
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
    print_verdict(found["verdict"])
    if as_json:
        print_json(found)
    require_passed(found, hint=f"{found['out']} lists them, the worst with the highest p_mislabeled.")
    table = () if new.is_dir() else (new,)
    told = words_for(context, "encoding", "image_column", "label_column", "class_level", "strip_prefix", "max_bad")
    next_run = run.with_name(f"{run.name}-2")
    next_command("noisyclean", "audit", found["images"], *table, *told, "--reuse", run, "--out", next_run)
