"""``noisyclean bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, console, next_command, print_json, print_table

__all__ = ["bench"]

Protocol = Annotated[str, typer.Argument(help="What to measure: speed.", show_default=False)]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder with images/, labels.csv and truth.csv, or of pictures.", show_default="generated"),
]
Only = Annotated[
    str, typer.Option(help="Rows, a,b,c: decode, augment, augment-kornia, simclr, …", show_default="all rows")
]
Against = Annotated[
    Path | None, typer.Option(help="An earlier table, as --json printed it; changes are shown.", show_default=False)
]
Plot = Annotated[Path | None, typer.Option(help="Draw the ratios: .svg, .png or .pdf.", show_default=False)]
Repeats = Annotated[int, typer.Option(help="Of each side; the median counts.", min=1)]
Tiny = Annotated[bool, typer.Option("--tiny", help="Hardly any work: to see that it runs, not to measure.")]


def bench(
    protocol: Protocol,
    *,
    data: Data = None,
    only: Only = "",
    against: Against = None,
    plot: Plot = None,
    repeats: Repeats = 5,
    device: options.Device = "auto",
    tiny: Tiny = False,
    as_json: options.Json = False,
) -> None:
    """Measure noisyclean against other software, in one sitting."""
    from noisyclean.bench.protocols import PROTOCOLS, bench_speed
    from noisyclean.bench.table import draw_rows
    from noisyclean.errors import UsageError

    if protocol not in PROTOCOLS:
        raise UsageError(f"bench {protocol}: no such protocol", hint=f"Choose one of {', '.join(PROTOCOLS)}.")
    names = [name.strip() for name in only.split(",") if name.strip()]
    table = bench_speed(
        data=data, only=names, against=against, device=device, repeats=repeats, tiny=tiny, reporter=Terminal()
    )
    print_table("speed: ours / peer", [(row["name"], _words(row)) for row in table["rows"]])
    if plot is not None:
        console.print(f"drawn: {draw_rows(table, plot)}", markup=False)
    next_command("noisyclean", "doctor")
    if as_json:
        print_json(table)


def _words(row: dict[str, Any]) -> str:
    """One row: ratio, both rates, what bounds it."""
    if row["ratio"] is None:
        return f"{row['peer_name']}: {row['note']}"
    text = f"{row['ratio']:.2f}  ({row['ours']:,.0f} against {row['peer']:,.0f} {row['unit']}, {row['peer_name']})"
    if row["of_limit"] is not None:
        text += f"; {row['of_limit']:.0%} of the {row['bound']} peak"
    if row.get("against", {}).get("ours"):
        text += f"; {row['against']['ours']:.2f} times as fast as before"
    return f"{text}; {row['note']}" if row["note"] else text
