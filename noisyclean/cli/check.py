"""``noisyclean check``."""

from pathlib import Path
from typing import Annotated

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, console, next_command, print_json, print_table
from noisyclean.errors import DataError

__all__ = ["check"]


def check(
    plugin: Annotated[Path, typer.Argument(help="Python file that defines a signal or a method.", show_default=False)],
    *,
    as_json: options.Json = False,
) -> None:
    """Check a signal or a method of your own against the contracts that ours keep."""
    from noisyclean.pipeline.check import check as run_check

    found = run_check(plugin, reporter=Terminal())
    for name in dict.fromkeys(row["name"] for row in found["results"]):
        rows = [row for row in found["results"] if row["name"] == name]
        print_table(
            f"{rows[0]['kind']} {name}", [(row["promise"], "pass" if row["passed"] else "FAIL") for row in rows]
        )
    broken = [row for row in found["results"] if not row["passed"]]
    for row in broken:
        console.print(
            f"{row['name']} {row['promise']}? No: {row['found']}.", style="bold", markup=False, soft_wrap=True
        )
        console.print(f"    {row['lesson']}", markup=False, soft_wrap=True)
    if as_json:
        print_json(found)
    if broken:
        raise DataError(
            f"{len(broken):,} of {len(found['results']):,} contracts are broken",
            hint="The advice above says how to mend each.",
        )
    next_command("noisyclean", "list", "--plugin", plugin)
