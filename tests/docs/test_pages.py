"""Documentation is true: commands parse, calls bind, links lead somewhere, generated pages are up to date."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import typer

import noisyclean
from noisyclean.cli.app import app
from tests.docs.generate import GENERATED
from tests.docs.pages import PAGES, ROOT, anchors, blocks, commands, links
from tests.docs.settings import described, settings_kinds

COMMAND = typer.main.get_command(app)
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_parse(page: Path) -> None:
    for words in commands(page):
        command: Any = COMMAND
        context = typer.Context(command)
        while hasattr(command, "commands") and words:
            name, command, words = command.resolve_command(context, words)
            context = typer.Context(command, info_name=name, parent=context)
        if words and "--help" not in words:
            command.make_context(context.info_name, words, parent=context.parent)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_calls_of_the_library_bind(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("noisyclean."):
                function = getattr(noisyclean, ast.unparse(node.func).removeprefix("noisyclean."))
                keywords = {str(item.arg): item.value for item in node.keywords}
                inspect.signature(function).bind(*node.args, **keywords)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == GENERATED[name](), "run: python -m tests.docs.generate"


@pytest.mark.parametrize(("title", "kind"), list(settings_kinds()))
def test_settings_say_what_they_are(title: str, kind: type) -> None:
    assert [name for name, text in described(kind).items() if not text] == [], title
