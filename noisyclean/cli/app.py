"""The application: verbs, and what happens when one of them fails."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand

from noisyclean.base.shortage import shortage
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
from noisyclean.cli.render import next_command, print_error, same_command
from noisyclean.errors import NoisycleanError

__all__ = ["app", "main"]

CLOSED_PIPE = 141
"""Exit code of programs that a closed pipe ends."""
EVERYDAY, HAND_OVER, RESEARCH = "Everyday", "Hand over", "Research"

app = typer.Typer(
    name="noisyclean",
    help="Find the mislabelled images in a training set, and train a classifier that the noise did not spoil.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class Verb(TyperCommand):
    """A command whose errors become one line, a hint and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except NoisycleanError as error:
            print_error(error.message, error.hint)
            if error.options and set(error.options) & {name for item in self.params for name in item.opts}:
                next_command(*same_command(ctx), *error.options)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print_error("stopped", "The same command continues.")
            raise typer.Exit(130) from error
        except BrokenPipeError as error:  # whoever reads has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(CLOSED_PIPE) from error
        except Exception as error:
            if os.environ.get("NOISYCLEAN_DEBUG"):
                raise
            problem = shortage(error)
            if problem is not None:
                print_error(problem.message, problem.hint)
                raise typer.Exit(problem.exit_code) from error
            print_error(
                f"this is a bug in noisyclean: {type(error).__name__}: {error}",
                "NOISYCLEAN_DEBUG=1 shows where. Nothing is lost: the same command continues.",
            )
            raise typer.Exit(1) from error


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
protocols.command("speed", cls=Verb)(bench.speed)
protocols.command("training", cls=Verb)(bench.training)

app.command("demo", rich_help_panel=EVERYDAY, cls=Verb)(demo.demo)
app.command("audit", rich_help_panel=EVERYDAY, cls=Verb)(audit.audit)
app.command("review", rich_help_panel=EVERYDAY, cls=Verb)(review.review)
app.command("train", rich_help_panel=EVERYDAY, cls=Verb)(train.train)
app.command("predict", rich_help_panel=EVERYDAY, cls=Verb)(predict.predict)
app.command("score", rich_help_panel=HAND_OVER, cls=Verb)(score.score)
app.command("diff", rich_help_panel=HAND_OVER, cls=Verb)(diff.diff)
app.command("export", rich_help_panel=HAND_OVER, cls=Verb)(export.export)
app.command("import-weights", rich_help_panel=HAND_OVER, cls=Verb)(import_weights.import_weights)
app.command("evaluate", rich_help_panel=RESEARCH, cls=Verb)(evaluate.evaluate)
app.command("corrupt", rich_help_panel=RESEARCH, cls=Verb)(corrupt.corrupt)
app.command("check", rich_help_panel=RESEARCH, cls=Verb)(check.check)
app.add_typer(protocols, name="bench", rich_help_panel=RESEARCH)
app.command("list", rich_help_panel=RESEARCH, cls=Verb)(listing.list_plugins)
app.command("doctor", rich_help_panel=RESEARCH, cls=Verb)(doctor.doctor)


def main() -> None:
    """Entry point; files written are private to the user, and odd consoles never stop a run."""
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if not follow_if_called():
        app()
