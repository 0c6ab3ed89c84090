"""The command line: commands parse, call and print. Heavy imports stay inside the commands."""

from __future__ import annotations

import click

from optimizer import __version__
from optimizer.cli import configs, models, runs, tasks
from optimizer.cli.estimate import estimate
from optimizer.errors import MetierError


class Cli(click.Group):
    """A group that ends every MetierError with its message and its exit code, and suggests commands."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; our own errors become one message, without a traceback."""
        try:
            return super().invoke(ctx)
        except MetierError as problem:
            click.echo(f"Error: {problem}", err=True)
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


for command in (runs.run, estimate, runs.evaluate, runs.ui, tasks.tasks, models.models, configs.config):
    cli.add_command(command)


def main() -> None:
    """Run the command line; the entry point of `metier`."""
    cli(prog_name="metier")
