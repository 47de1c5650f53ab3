"""Plugins: the modules of a package, installed entry points, and single files named on the command line.

Adding a signal or a method is one file; it is found here, listed by ``noisyclean list`` and run by the contract tests.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from noisyclean.errors import UsageError

__all__ = ["Registry", "load_plugin"]

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Named things of one kind.

    Args:
        kind: What they are, in the singular, for messages.
        package: Package whose modules register them when imported.
        entry_points: Group of entry points whose modules do so too.
    """

    def __init__(self, kind: str, *, package: str, entry_points: str) -> None:
        self.kind = kind
        self._package = package
        self._entry_points = entry_points
        self._items: dict[str, Item] = {}
        self._is_loaded = False

    def register(self, name: str) -> Callable[[Item], Item]:
        """Decorator that gives a class its name here.

        Raises:
            UsageError: The name is taken by something else.
        """

        def keep(item: Item) -> Item:
            known = self._items.get(name)
            if known is not None and getattr(known, "__qualname__", known) != getattr(item, "__qualname__", item):
                raise UsageError(f"two {self.kind}s are named {name}", hint="Rename the one in the plugin.")
            self._items[name] = item
            return item

        return keep

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._items)

    def get(self, name: str) -> Item:
        """The thing of this name.

        Raises:
            UsageError: There is none.
        """
        self._load()
        if name not in self._items:
            raise UsageError(f"no {self.kind} is named {name}", hint=f"There are {', '.join(self.names())}.")
        return self._items[name]

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for entry in importlib.metadata.entry_points(group=self._entry_points):
            entry.load()


def load_plugin(path: Path) -> None:
    """Import one Python file, which registers what it defines.

    Raises:
        UsageError: There is no such file, or it cannot be imported.
    """
    name = f"noisyclean_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"--plugin {path}: {type(error).__name__}: {error}") from error
