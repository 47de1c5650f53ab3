"""What numbers a setting may be: said where it is declared, checked whenever a user may have set it.

    batch: Annotated[int, Range(at_least=2)] = 128

A class that inherits a setting inherits its range, also where it declares it again to change the default.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from noisyclean.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Range", "check_ranges", "names_without_range", "ranges"]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers a setting may be, of a list each of them; any number where no bound is given, infinity and nan never."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    option: str = ""
    """The command's own option for the setting, where it has one."""

    def __contains__(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.at_least, "above": self.above, "at most": self.at_most, "below": self.below}
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)


def check_ranges(stage: str, settings: DataclassInstance) -> None:
    """Refuse a setting that is none of the numbers it may be.

    Args:
        stage: What ``--set`` calls these settings.
        settings: A dataclass; fields without a :class:`Range` may be anything but infinity and nan.

    Raises:
        UsageError: Which one, and what it may be.
    """
    declared = list(ranges(type(settings)))
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        own = [allowed for name, allowed in declared if name == item.name]
        for number in value if isinstance(value, tuple) else (value,):
            broken = [str(allowed) for allowed in own if number not in allowed]
            if isinstance(number, float) and not math.isfinite(number):
                broken.append("finite")
            if broken:
                option = next((allowed.option for allowed in own if allowed.option), "")
                name = f"{stage}.{item.name}"
                asked = f"{option} {number:g} ({name})" if option else f"{name}={value}"
                raise UsageError(f"{asked}: must be {' and '.join(broken)}")


def names_without_range(kind: type) -> list[str]:
    """Fields of a dataclass that are numbers, or lists of numbers, of which nobody said what they may be."""
    told = {name for name, _ in ranges(kind)}
    return [name for name, hint in get_type_hints(kind).items() if _is_number(hint) and name not in told]


def ranges(kind: type) -> Iterator[tuple[str, Range]]:
    """Name and range of each field that has one, of the classes it inherits from too."""
    for base in kind.__mro__:
        for name, hint in inspect.get_annotations(base, eval_str=True).items():
            yield from ((name, item) for item in getattr(hint, "__metadata__", ()) if isinstance(item, Range))


def _is_number(hint: Any) -> bool:
    return bool({int, float} & {hint, *get_args(hint)})
