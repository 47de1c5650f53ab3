"""``noisyclean doctor``."""

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_table

__all__ = ["doctor"]


def doctor(as_json: options.Json = False) -> None:
    """Say what this machine offers, and what would be done with it."""
    from noisyclean.pipeline.doctor import doctor as run_doctor

    found = run_doctor()
    rows = [(name, str(found[name])) for name in ("noisyclean", "python", "system", "accelerator", "network")]
    rows += [(name, version or "missing") for name, version in found["libraries"].items()]
    rows += [(f"extra: {name}", version or "not installed") for name, version in found["extras"].items()]
    rows += [(name, reason) for name, reason in found["choices"].items()]
    print_table("doctor", rows)
    for problem in found["problems"]:
        Terminal().warn(problem)
    next_command("noisyclean", "demo")
    if as_json:
        print_json(found)
