"""Pages of ``docs/reference/`` that are written from the code: ``python -m tests.docs.generate``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer

from noisyclean.cli.app import app
from tests.docs.pages import ROOT
from tests.docs.settings import settings_page

NOTE = "<!-- Written by `python -m tests.docs.generate`; do not edit. -->\n"


def command_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands\n"]
    parts += [_command(name, command) for name, command in _leaves("noisyclean", typer.main.get_command(app))]
    return "\n".join(parts)


GENERATED: Mapping[str, Callable[[], str]] = {
    "commands.md": lambda: f"{NOTE}\n{command_page()}",
    "settings.md": lambda: f"{NOTE}\n{settings_page()}",
}


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for key, child in command.commands.items():
        yield from _leaves(f"{name} {key}", child)


def _command(name: str, command: Any) -> str:
    shown = [item for item in command.params if not getattr(item, "hidden", False)]
    arguments = " ".join(_argument(item) for item in shown if item.param_type_name == "argument")
    usage = " ".join(filter(None, [name, arguments, "[OPTIONS]"]))
    lines = [f"## {name}\n", f"{command.help.strip()}\n", f"```text\n{usage}\n```\n"]
    lines += ["| | | default |", "|---|---|---|"]
    lines += [f"| {_spelling(item)} | {_escape(item.help or '')} | {_escape(_default(item))} |" for item in shown]
    return "\n".join(lines) + "\n"


def _argument(item: Any) -> str:
    name = item.name.upper() + ("..." if item.nargs == -1 else "")
    return name if item.required else f"[{name}]"


def _spelling(item: Any) -> str:
    return f"`{item.name.upper() if item.param_type_name == 'argument' else ', '.join(item.opts)}`"


def _default(item: Any) -> str:
    if item.required:
        return "required"
    if isinstance(item.show_default, str):
        return item.show_default
    is_empty = item.default is None or item.default is False or item.default in ("", [], ())
    return "" if is_empty else f"`{item.default}`"


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write all pages."""
    folder = ROOT / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    for name, write in GENERATED.items():
        (folder / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
