"""``noisyclean list``."""

from noisyclean.cli import options
from noisyclean.cli.render import next_command, print_json, print_table

__all__ = ["list_plugins"]


def list_plugins(plugin: options.Plugin = [], as_json: options.Json = False) -> None:  # noqa: B006
    """List the signals, methods and backbones."""
    from noisyclean.pipeline.listing import list_plugins as run_list

    found = run_list(plugin=plugin)
    for kind in ("signals", "methods", "backbones"):
        print_table(kind, [(row["name"], row["about"]) for row in found[kind]])
    next_command("noisyclean", "doctor")
    if as_json:
        print_json(found)
