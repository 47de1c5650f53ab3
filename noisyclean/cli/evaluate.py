"""``noisyclean evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noisyclean.cli import options
from noisyclean.cli.render import next_command, print_json, print_table

__all__ = ["evaluate", "show_figures"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished audit.", show_default=False)],
    *,
    truth: Annotated[Path, typer.Option(help="Table of true labels.", show_default=False)],
    as_json: options.Json = False,
) -> None:
    """Compare an audit with the true labels."""
    from noisyclean.pipeline.evaluate import evaluate as run_evaluate

    figures = run_evaluate(run, truth=truth)
    show_figures(figures)
    next_command("noisyclean", "list")
    if as_json:
        print_json(figures)


def show_figures(figures: dict[str, Any]) -> None:
    """The figures, one a line."""
    rows = [
        (
            name.replace("_", " "),
            "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}",
        )
        for name, value in figures.items()
        if name != "schema_version"
    ]
    print_table("against the truth", rows)
