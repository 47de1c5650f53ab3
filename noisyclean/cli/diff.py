"""``noisyclean diff``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_table, print_verdict

__all__ = ["diff"]


def diff(
    run_a: Annotated[Path, typer.Argument(help="The earlier audit.", show_default=False)],
    run_b: Annotated[Path, typer.Argument(help="The later one.", show_default=False)],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Also write every change as a row of this CSV.", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what changed between two audits of the same images."""
    from noisyclean.pipeline.diff import diff as run_diff
    from noisyclean.pipeline.rundir import read_run

    found = run_diff(run_a, run_b, out=out, reporter=Terminal())
    print_table(f"from {run_a} to {run_b}", _rows(found))
    print_verdict(found["verdict"])
    next_command("noisyclean", "review", run_b, read_run(run_b).flagged(), "--out", "labels.cleaned.csv")
    if as_json:
        print_json(found)


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """One change a line."""
    rate, flagged, images = found["noise_rate"], found["num_flagged"], found["num_images"]
    moved = found["labels_moved"][:5]
    reviewed = ", ".join(f"{count:,} {name}" for name, count in found["verdicts"].items() if count)
    return [
        ("images in both", f"{images['in_both']:,}"),
        ("images that came, went", f"{images['only_after']:,}, {images['only_before']:,}"),
        ("labels changed", f"{found['num_labels_changed']:,}"),
        *((f"  from {row['from']} to {row['to']}", f"{row['num_images']:,}") for row in moved),
        ("reviewed", reviewed or "none"),
        ("flagged", f"{flagged['before']:,} → {flagged['after']:,}"),
        ("newly flagged", f"{found['num_newly_flagged']:,}"),
        ("no longer flagged", f"{found['num_no_longer_flagged']:,}"),
        ("suggestions changed", f"{found['num_suggestions_changed']:,}"),
        ("noise rate", f"{rate['before']['estimate']:.1%} → {rate['after']['estimate']:.1%}"),
    ]
