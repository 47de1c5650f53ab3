"""The page of all settings: where ``--set`` may reach, what a setting may be, what it is when nobody says."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

from noisyclean.config import Plan
from noisyclean.pipeline.training_plan import OWN_STAGES, STAGES, TrainPlan
from noisyclean.ranges import ranges
from noisyclean.robust.method import methods

__all__ = ["described", "settings_kinds", "settings_page"]

INTRODUCTION = f"""\
`--set stage.key=value`, repeatable, or a section for each stage in a TOML file that `--config` names, changes one of
these. "Default" is what a setting is where nothing plans it, mostly the published value. Presets, the images and the
machine plan many, with a default or without: `--dry-run --json` shows what each will be, under `plan`, and `--dry-run`
why. `noisyclean train` has {", ".join(sorted(STAGES))}; `noisyclean audit` all but
{", ".join(sorted(OWN_STAGES))}.
"""


def settings_page() -> str:
    """Every setting of an audit, a training and each method."""
    parts = ["# Settings\n", INTRODUCTION]
    parts += [_section(title, kind) for title, kind in settings_kinds()]
    return "\n".join(parts)


def settings_kinds() -> Iterator[tuple[str, type]]:
    """Title and dataclass of each group of settings."""
    for plan in (Plan, TrainPlan):
        for name, hint in get_type_hints(plan).items():
            if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not Plan:
                yield f"`{name}`", hint
    for name in methods.names():
        yield f"`robust` of `{name}`", methods.get(name).settings_type


def described(kind: type) -> dict[str, str]:
    """The text below each field, inherited ones too; empty where there is none."""
    texts: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for item, after in zip(definition.body, [*definition.body[1:], ast.Pass()], strict=True):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                texts[item.target.id] = _text(after) or texts.get(item.target.id, "")
    return texts


def _text(node: ast.stmt) -> str:
    return str(node.value.value) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""


def _section(title: str, kind: type) -> str:
    texts, hints = described(kind), get_type_hints(kind)
    lines = [f"## {title}\n", f"{_plain(inspect.getdoc(kind) or '')}\n"]
    lines += ["| setting | may be | default | |", "|---|---|---|---|"]
    for item in dataclasses.fields(kind):
        may_be, text = _may_be(kind, item.name, hints[item.name]), _plain(texts[item.name])
        lines.append(f"| `{item.name}` | {may_be} | {_default(item)} | {text} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """On one line, as Markdown has it."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _may_be(kind: type, name: str, hint: Any) -> str:
    if choices := [choice for choice in get_args(hint) if isinstance(choice, str)]:
        return ", ".join(choices)
    if hint is bool:
        return "true, false"
    number = {int: "whole number", float: "number"}[hint if get_origin(hint) is None else get_args(hint)[0]]
    bounds = " and ".join(filter(None, (str(allowed) for owner, allowed in ranges(kind) if owner == name)))
    words = f"{number} {bounds}".strip()
    return words if get_origin(hint) is None else f"list, each a {words}"


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is dataclasses.MISSING:
        return ""
    value = list(item.default) if isinstance(item.default, tuple) else item.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
