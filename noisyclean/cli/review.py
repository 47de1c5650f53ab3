"""``noisyclean review``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_table

__all__ = ["review"]

SHOWN = {"changed": "rows changed", "earlier_verdicts": "verdicts of earlier calls"}


def review(
    run: options.Run,
    verdicts: Annotated[
        list[Path],
        typer.Argument(
            help="flagged.csv or its workbook with verdicts, what report.html downloads, Label Studio's export "
            "(JSON or CSV), or a folder that was sorted; one per reviewer."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Cleaned table to write.", show_default=False)],
    labels: Annotated[
        Path | None, typer.Option(help="Table to change.", show_default="the one that was audited")
    ] = None,
    to_folders: Annotated[
        Path | None,
        typer.Option(
            help="Also make one folder per class, of links to the images, in this new folder.", show_default=False
        ),
    ] = None,
    allow_new_labels: Annotated[
        bool, typer.Option("--allow-new-labels", help="Accept labels that are not among the classes of the run.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out, whatever it holds.")] = False,
    as_json: options.Json = False,
) -> None:
    """Merge verdicts into cleaned labels; nothing but label cells changes."""
    from noisyclean.pipeline.review import review as run_review

    found = run_review(
        run,
        verdicts,
        out=out,
        labels=labels,
        to_folders=to_folders,
        allow_new_labels=allow_new_labels,
        overwrite=overwrite,
        reporter=Terminal(),
    )
    names = (
        "verdicts",
        "earlier_verdicts",
        "reviewers",
        "kept",
        "relabelled",
        "unsure",
        "bad",
        "conflict",
        "rows",
        "changed",
    )
    print_table("merged", [(SHOWN.get(name, name), f"{found[f'num_{name}']:,}") for name in names])
    next_run = run.with_name(f"{run.name}-2")
    next_command("noisyclean", "audit", found["images"], out, "--reuse", run, "--out", next_run)
    if as_json:
        print_json(found)
