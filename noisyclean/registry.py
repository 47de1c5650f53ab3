"""Plugins: the modules of a package, installed entry points, and single files named on the command line.

Adding a signal or a method is one file; it is found here, listed by ``noisyclean list``, run by the contract tests and
checked by ``noisyclean check``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from noisyclean.errors import UsageError

__all__ = ["Registry", "load_plugin", "plugins"]

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Named things of one kind.

    Args:
        kind: What they are, in the singular, for messages.
        package: Package whose modules register them when imported.
        entry_points: Group of entry points whose modules do so too.
    """

    _all: ClassVar[list[Registry[Any]]] = []

    def __init__(self, kind: str, *, package: str, entry_points: str) -> None:
        self.kind = kind
        self._package = package
        self._entry_points = entry_points
        self._items: dict[str, Item] = {}
        self._is_loaded = False
        self._all.append(self)

    def register(self, name: str) -> Callable[[Item], Item]:
        """Decorator that gives a class its name here.

        Raises:
            UsageError: The name is taken by something else.
        """

        def keep(item: Item) -> Item:
            if not self._is_ours(item):
                self._load()  # so that it is the newcomer that is refused
            known = self._items.get(name)
            if known is not None and _origin(known) != _origin(item):
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

    def defined_in(self, module: ModuleType) -> list[str]:
        """Names that a module gave, sorted."""
        return sorted(name for name, item in self._items.items() if _origin(item)[0] == module.__name__)

    @classmethod
    def forget(cls, module: ModuleType) -> None:
        """Know no longer what a module defined, of whatever kind."""
        for registry in cls._all:
            for name in registry.defined_in(module):
                del registry._items[name]

    def outside(self) -> dict[str, str]:
        """SHA-256 of the file of each that is not ours, by name: what was computed with another one is out of date."""
        self._load()
        names = [name for name, item in self._items.items() if not self._is_ours(item)]
        return {name: _file_hash(_origin(self._items[name])[0]) for name in sorted(names)}

    def _is_ours(self, item: Item) -> bool:
        return _origin(item)[0].startswith(f"{self._package}.")

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for entry in importlib.metadata.entry_points(group=self._entry_points):
            entry.load()


@contextmanager
def plugins(files: Iterable[str | Path]) -> Iterator[list[ModuleType]]:
    """Know what some Python files define, for as long as the block runs.

    Raises:
        UsageError: There is no such file, or it cannot be imported.
    """
    modules: list[ModuleType] = []
    try:
        for file in files:
            modules.append(load_plugin(Path(file)))
        yield modules
    finally:
        for module in modules:
            Registry.forget(module)


def load_plugin(path: Path) -> ModuleType:
    """Import one Python file, which registers what it defines.

    Raises:
        UsageError: There is no such file, or it cannot be imported.
    """
    name = f"noisyclean_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file():
        raise UsageError(f"--plugin {path}: no such file")
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        Registry.forget(module)
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"--plugin {path}: {type(error).__name__}: {error}") from error
    return module


def _origin(item: object) -> tuple[str, str]:
    """Module and name of a class or a function."""
    return getattr(item, "__module__", ""), getattr(item, "__qualname__", repr(item))


def _file_hash(module: str) -> str:
    file = getattr(sys.modules[module], "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
