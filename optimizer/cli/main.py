"""The command line: commands parse, call and print. Heavy imports stay inside the commands."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from contextlib import suppress
from types import TracebackType

import click

from optimizer import __version__
from optimizer.cli import configs, models, runs, status, tasks, track
from optimizer.cli.check import check
from optimizer.cli.compare import compare
from optimizer.cli.estimate import estimate
from optimizer.cli.export import export
from optimizer.cli.report import report
from optimizer.cli.show import show
from optimizer.errors import MetierError
from optimizer.system.redact import scrub


class Cli(click.Group):
    """A group that ends every MetierError with its message and its exit code, and suggests commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are met: from a run to what is shipped."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; our own errors become one message, without a traceback."""
        try:
            return super().invoke(ctx)
        except MetierError as problem:
            click.echo(scrub(f"Error: {problem}"), err=True)
            ctx.exit(problem.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="metier")
def cli() -> None:
    """Optimize a prompt, and prove that it is better.

    Start with: metier run configs/quickstart.yaml
    """


for command in (
    runs.run,
    runs.resume,
    status.status,
    estimate,
    runs.evaluate,
    runs.ui,
    report,
    show,
    compare,
    export,
    check,
    tasks.tasks,
    models.models,
    configs.config,
    track.track,
    track.promote,
):
    cli.add_command(command)


def _print_scrubbed(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback without secrets: a library's message may quote a URL with its password."""
    click.echo(scrub("".join(traceback.format_exception(kind, problem, trace))), err=True, nl=False)


def main() -> None:
    """Run the command line; the entry point of `metier`."""
    sys.excepthook = _print_scrubbed
    threading.excepthook = lambda told: _print_scrubbed(told.exc_type, told.exc_value, told.exc_traceback)  # type: ignore[arg-type]
    with suppress(ValueError):  # raised elsewhere than in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends whatever runs as Ctrl-C does
    cli(prog_name="metier")
