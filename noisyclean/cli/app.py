"""The application: verbs, and what happens when one of them fails."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from noisyclean.cli import (
    audit,
    bench,
    check,
    corrupt,
    demo,
    diff,
    doctor,
    evaluate,
    export,
    import_weights,
    listing,
    predict,
    review,
    score,
    train,
)
from noisyclean.cli.launch import follow_if_called
from noisyclean.cli.render import print_error
from noisyclean.errors import NoisycleanError

__all__ = ["app", "main"]

EVERYDAY, HAND_OVER, RESEARCH = "Everyday", "Hand over", "Research"

app = typer.Typer(
    name="noisyclean",
    help="Find the mislabelled images in a training set, and train a classifier that the noise did not spoil.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _guarded(body: Callable[..., Any]) -> Callable[..., Any]:
    """Turn our errors into one line, a hint and an exit code."""

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return body(*args, **kwargs)
        except NoisycleanError as error:
            print_error(error.message, error.hint)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print_error("stopped", "The same command continues.")
            raise typer.Exit(130) from error
        except MemoryError as error:
            print_error("out of memory", "Try a smaller --size or --set probe.batch=64.")
            raise typer.Exit(4) from error
        except Exception as error:
            if os.environ.get("NOISYCLEAN_DEBUG"):
                raise
            print_error(
                f"this is a bug in noisyclean: {type(error).__name__}: {error}",
                "NOISYCLEAN_DEBUG=1 shows where. Nothing is lost: the same command continues.",
            )
            raise typer.Exit(1) from error

    return run


def _version(asked: bool) -> None:
    if asked:
        from noisyclean import __version__

        typer.echo(f"noisyclean {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    """Find the mislabelled images in a training set, and train a classifier that the noise did not spoil."""


protocols = typer.Typer(
    help="Measure noisyclean: speed against other software, trainings against each other.", no_args_is_help=True
)
protocols.command("speed")(_guarded(bench.speed))
protocols.command("training")(_guarded(bench.training))

app.command("demo", rich_help_panel=EVERYDAY)(_guarded(demo.demo))
app.command("audit", rich_help_panel=EVERYDAY)(_guarded(audit.audit))
app.command("review", rich_help_panel=EVERYDAY)(_guarded(review.review))
app.command("train", rich_help_panel=EVERYDAY)(_guarded(train.train))
app.command("predict", rich_help_panel=EVERYDAY)(_guarded(predict.predict))
app.command("score", rich_help_panel=HAND_OVER)(_guarded(score.score))
app.command("diff", rich_help_panel=HAND_OVER)(_guarded(diff.diff))
app.command("export", rich_help_panel=HAND_OVER)(_guarded(export.export))
app.command("import-weights", rich_help_panel=HAND_OVER)(_guarded(import_weights.import_weights))
app.command("evaluate", rich_help_panel=RESEARCH)(_guarded(evaluate.evaluate))
app.command("corrupt", rich_help_panel=RESEARCH)(_guarded(corrupt.corrupt))
app.command("check", rich_help_panel=RESEARCH)(_guarded(check.check))
app.add_typer(protocols, name="bench", rich_help_panel=RESEARCH)
app.command("list", rich_help_panel=RESEARCH)(_guarded(listing.list_plugins))
app.command("doctor", rich_help_panel=RESEARCH)(_guarded(doctor.doctor))


def main() -> None:
    """Entry point; files written are private to the user, and odd consoles never stop a run."""
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if not follow_if_called():
        app()
