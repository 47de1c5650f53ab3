"""``noisyclean evaluate``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_line, print_table

__all__ = ["evaluate", "show_figures"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished audit.", show_default=False)],
    *,
    truth: Annotated[Path, typer.Option(help="Table of true labels.", show_default=False)],
    plots: Annotated[bool, typer.Option("--plots", help="Also draw pictures into RUN/evaluation/.")] = False,
    as_json: options.Json = False,
) -> None:
    """Compare an audit with the true labels."""
    from noisyclean.pipeline.evaluate import evaluate as run_evaluate

    figures = run_evaluate(run, truth=truth, plots=plots, reporter=Terminal())
    show_figures(figures)
    if plots:
        print_line(f"open {figures['plots']} to see the pictures")
    next_command("noisyclean", "list")
    if as_json:
        print_json(figures)


def show_figures(figures: dict[str, Any]) -> None:
    """The figures, one a line."""
    from noisyclean.pipeline.evaluate import figure_rows

    print_table("against the truth", figure_rows(figures))
