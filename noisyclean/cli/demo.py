"""``noisyclean demo``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.audit import show_audit
from noisyclean.cli.evaluate import show_figures
from noisyclean.cli.render import Terminal, next_command, print_json, print_line

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write data/ and run/ into.")] = Path("noisyclean-demo"),
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Audit 1,797 hand-written digits with 20 % wrong labels; no download."""
    from noisyclean.pipeline.demo import demo as run_demo

    result = run_demo(out=out, seed=seed, overwrite=overwrite, reporter=Terminal())
    show_audit(result["audit"])
    show_figures(result["evaluate"])
    print_line(f"open {out / 'run' / 'report.html'} to see them")
    next_command("noisyclean", "audit", "IMAGES", "LABELS.csv", "--out", "RUN")
    if as_json:
        print_json(result)
