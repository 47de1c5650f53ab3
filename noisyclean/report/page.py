"""Self-contained pages, made from the templates beside this file."""

from __future__ import annotations

import jinja2

__all__ = ["fill_template"]


def fill_template(template: str, **values: object) -> str:
    """A page as text; every value is escaped that is not marked as safe.

    Args:
        template: File name beside this one.
        values: What the template asks for; a missing one is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("noisyclean.report", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(**values)
