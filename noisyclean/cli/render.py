"""The terminal: messages, progress with throughput, tables, errors; all on stderr."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import markup
from rich.console import Console

from noisyclean.base.log import Meter
from noisyclean.base.shell import shell_line
from noisyclean.errors import QualityGateFailed

if TYPE_CHECKING:
    import typer
    from rich.progress import Progress, TaskID

__all__ = [
    "Terminal",
    "next_command",
    "print_error",
    "print_json",
    "print_line",
    "print_table",
    "print_verdict",
    "require_passed",
    "same_command",
    "words_for",
]

console = Console(stderr=True, highlight=False)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys; names of files and classes may hold them."""


def escape(text: str) -> str:
    """Text for rich that is shown as it stands, without markup or orders to the terminal."""
    return markup.escape(CONTROL.sub(lambda found: ascii(found.group())[1:-1], text))


class Terminal:
    """A reporter that writes to the terminal; without one it writes a line when a task ends."""

    def say(self, text: str) -> None:
        """One soft line."""
        console.print(f"[dim]{escape(text)}[/]", soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line in yellow."""
        console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)

    @contextmanager
    def track(self, title: str, *, total: int, done: int = 0, unit: str = "") -> Iterator[Meter]:
        """A bar with throughput and time left."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        start = time.monotonic()
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        ]
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = _Bar(progress, progress.add_task(escape(title), total=total, completed=done, note=""), unit)
            yield bar
        seconds = time.monotonic() - start
        if bar.done:
            rate = bar.done / max(seconds, 1e-9)
            console.print(f"[dim]{escape(title)}: {bar.done:,} {unit} in {seconds:.1f} s ({rate:,.0f}/s)[/]")


class _Bar:
    def __init__(self, progress: Progress, task: TaskID, unit: str) -> None:
        self.done = 0
        self._progress = progress
        self._task = task
        self._unit = unit
        self._start = time.monotonic()
        self._note = ""

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self._note = note or self._note
        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        text = f"{rate:,.0f} {self._unit}/s {self._note}"
        self._progress.update(self._task, advance=amount, note=escape(text))


def print_error(message: str, hint: str) -> None:
    """What is wrong, and below it what to do."""
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    if hint:
        console.print(f"       {escape(hint)}", soft_wrap=True)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on stdout, in ASCII: a console's encoding cannot spoil it."""
    print(json.dumps(value, allow_nan=False))


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Two columns: what, and how much."""
    from rich.table import Table

    table = Table(title=escape(title), show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    console.print(table)


def require_passed(found: Mapping[str, Any], *, hint: str) -> None:
    """End with the quality gate's exit code where more labels are wrong than ``--fail-above`` allows.

    Raises:
        QualityGateFailed: That is so.
    """
    if not found["passed"]:
        rate, allowed = found["noise_rate"]["estimate"], found["fail_above"]
        raise QualityGateFailed(
            f"{rate:.1%} of the labels are probably wrong, more than the {allowed:.1%} allowed", hint=hint
        )


def same_command(context: typer.Context, *, without: str = "") -> list[str]:
    """The words of the command that is running, one option left out."""
    names = [str(parameter.name) for parameter in context.command.params]
    return ["noisyclean", str(context.info_name), *words_for(context, *(name for name in names if name != without))]


def words_for(context: typer.Context, *names: str) -> list[str]:
    """The words by which some parameters were given to the command that is running; none for those that were not."""
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in names or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params.get(str(parameter.name))
        name = [] if parameter.param_type_name == "argument" else [parameter.opts[0]]
        values = value if isinstance(value, list | tuple) else [value]
        words += name if value is True else [str(word) for item in values for word in (*name, item)]
    return words


def print_line(text: str) -> None:
    """A line as it is, however long: what wraps cannot be pasted."""
    console.print(text, markup=False, soft_wrap=True)


def print_verdict(text: str) -> None:
    """The sentence that says what came out."""
    console.print(f"[bold]{escape(text)}[/]")


def next_command(*words: object) -> None:
    """The command to type next, ready to paste."""
    console.print(f"[bold]next:[/] {escape(shell_line(words))}", soft_wrap=True)
