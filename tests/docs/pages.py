"""What Markdown pages hold: blocks of code, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}\S.*\n)+", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(page: Path, language: str) -> Iterator[str]:
    """Fenced blocks of a language."""
    for found, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if found == language:
            yield block


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every ``noisyclean …`` line in a block, continued lines joined."""
    text = page.read_text(encoding="utf-8")
    shown = [block for language, block in FENCE.findall(text) if language in ("", "sh", "bash")]
    shown += INDENTED.findall(FENCE.sub("", text))
    for block in shown:
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.strip().removeprefix("$ ").split("&&"):
                if part.split()[:1] == ["noisyclean"]:
                    yield shlex.split(part, comments=True)[1:]


def links(page: Path) -> Iterator[str]:
    """Where a page points inside the project."""
    for plain, picture in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = plain or picture
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def anchors(page: Path) -> set[str]:
    """Names that GitHub gives the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in HEADING.findall(page.read_text(encoding="utf-8"))
    }
