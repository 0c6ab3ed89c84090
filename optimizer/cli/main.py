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
from optimizer.cli import configs, models, runs, tasks, track
from optimizer.cli.audit import audit
from optimizer.cli.check import check
from optimizer.cli.compare import compare
from optimizer.cli.estimate import estimate
from optimizer.cli.export import export
from optimizer.cli.help import SectionedGroup
from optimizer.cli.init import init
from optimizer.cli.judge import judge
from optimizer.cli.migrate import migrate
from optimizer.cli.report import report
from optimizer.cli.show import show
from optimizer.cli.status import status
from optimizer.cli.sweep import sweep
from optimizer.cli.text import echo
from optimizer.cli.watch import watch
from optimizer.errors import MetierError
from optimizer.system.internal import internal_errors
from optimizer.system.redact import scrub


class Cli(SectionedGroup):
    """A group that ends every MetierError with its message and its exit code."""

    # What click ends a command with, and a reader of what is printed that went away.
    PASSING = (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; our own errors become one message, without a traceback."""
        try:
            with internal_errors(passing=self.PASSING):
                return super().invoke(ctx)
        except MetierError as problem:
            echo(scrub(f"Error: {problem}"), err=True)
            ctx.exit(problem.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="metier")
def cli() -> None:
    """Optimize a prompt, and prove that it is better.

    \b
    First step, without a key and without an account:
      metier run configs/quickstart.yaml
    Then:
      metier report --open
    With your own examples:
      metier init examples.csv

    Every command shows examples with --help. Where RUN_DIR is left out, the newest run below ./runs is meant.

    \b
    Completion in bash:  eval "$(_METIER_COMPLETE=bash_source metier)"
    in zsh:              eval "$(_METIER_COMPLETE=zsh_source metier)"
    in fish:             _METIER_COMPLETE=fish_source metier | source
    """


cli.add_section("Before a run", init, tasks.tasks, models.models, configs.config, judge, estimate)
cli.add_section("A run", runs.run, runs.resume, status)
cli.add_section("Many runs", sweep)
cli.add_section("Its result", report, show, compare, audit, runs.ui, track.track)
cli.add_section("Its prompt", runs.evaluate, check, watch, migrate, export, track.promote)


def _print_scrubbed(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback without secrets: a library's message may quote a URL with its password."""
    echo(scrub("".join(traceback.format_exception(kind, problem, trace))).rstrip(), err=True, whole=True)


def main() -> None:
    """Run the command line; the entry point of `metier`."""
    sys.excepthook = _print_scrubbed
    threading.excepthook = lambda end: _print_scrubbed(end.exc_type, end.exc_value, end.exc_traceback)  # type: ignore[arg-type]
    with suppress(ValueError):  # raised elsewhere than in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends whatever runs as Ctrl-C does
    cli(prog_name="metier")
