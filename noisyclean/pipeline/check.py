"""``check``: the contracts that our own signals and methods keep, checked on a file of somebody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from noisyclean.base.contract import Contract
from noisyclean.base.log import Reporter, Silent
from noisyclean.detect.contracts import SIGNAL_CONTRACTS
from noisyclean.detect.signal import signals
from noisyclean.errors import DataError, UsageError
from noisyclean.registry import plugins
from noisyclean.robust.contracts import METHOD_CONTRACTS, Candidate
from noisyclean.robust.method import methods

__all__ = ["check"]

SCHEMA_VERSION = 1
Thing = TypeVar("Thing")


def check(plugin: str | Path, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Check a plugin's signals and methods against the contracts of their kind.

    Args:
        plugin: A Python file that registers them.
        reporter: Hears about the progress.

    Returns:
        ``results``: ``kind``, ``name``, ``promise``, ``passed``, and, where it is not kept, what was ``found`` and the
        ``lesson``; and ``passed``, whether all are kept.

    Raises:
        UsageError: There is no such file.
        DataError: It cannot be imported, or registers neither a signal nor a method.
    """
    reporter = reporter or Silent()
    path = Path(plugin)
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="Name the Python file that defines the signal or the method.")
    try:
        with plugins([path]) as (module,):
            kinds = {name: signals.get(name) for name in signals.defined_in(module)}
            candidates = {name: Candidate(methods.get(name)) for name in methods.defined_in(module)}
            results = [
                *_results("signal", kinds, SIGNAL_CONTRACTS, reporter),
                *_results("method", candidates, METHOD_CONTRACTS, reporter),
            ]
    except UsageError as error:
        raise DataError(error.message.removeprefix("--plugin "), hint=error.hint) from error
    if not results:
        raise DataError(
            f"{path}: registers neither a signal nor a method",
            hint='Put @signals.register("my_name") (noisyclean.detect.signal) or @methods.register("my-name") '
            "(noisyclean.robust.method) above the class.",
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "plugin": str(path),
        "passed": all(row["passed"] for row in results),
        "results": results,
    }


def _results(
    kind: str, things: Mapping[str, Thing], contracts: Sequence[Contract[Thing]], reporter: Reporter
) -> list[dict[str, Any]]:
    """Each contract on each thing."""
    results: list[dict[str, Any]] = []
    for name, thing in things.items():
        with reporter.track(name, total=len(contracts), unit="contracts") as meter:
            for contract in contracts:
                found = contract.what_is_wrong(thing)
                row = {"kind": kind, "name": name, "promise": contract.promise, "passed": not found}
                results.append(row | ({"found": found, "lesson": contract.lesson} if found else {}))
                meter.advance()
    return results
