"""`metier export`: a prompt in the form that another tool holds."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from optimizer.cli.arguments import RUN_DIR, TRUST
from optimizer.cli.help import Command
from optimizer.cli.text import echo
from optimizer.errors import spelled_out

TARGETS = ("text", "messages", "openai", "anthropic", "dspy", "langchain", "promptfoo", "python")
GROUPS = {"Which prompt": ("--trial", "--predictor", "--trust"), "Output": ("--to", "--out")}


@click.command(cls=Command, groups=GROUPS, short_help="Export a prompt for another tool.")
@RUN_DIR
@click.option("--to", "target", type=click.Choice(TARGETS), required=True, help="What is to hold the prompt.")
@click.option("--trial", type=int, metavar="N", help="That trial's prompt, not the winner's.")
@click.option("--predictor", metavar="NAME", help="That predictor's prompt alone, of a program with several.")
@TRUST
@click.option("--out", metavar="FILE", type=click.Path(), help="Write it there; default: standard output.")
def export(run_dir: Path, target: str, trial: int | None, predictor: str | None, trust: bool, out: str | None) -> None:
    """Export the winner of the run in RUN_DIR (default: the newest; or a best.json) for another tool.

    \b
    Examples:
      metier export --to openai --out body.json
      metier export runs/mine --to python --trial 7 --out prompt.py
    """
    from optimizer.job.export import ship
    from optimizer.system.files import write_atomically

    made = ship(run_dir, target, trial, predictor, trust=trust)
    if out is None:
        # A terminal obeys what it is shown; a file or another program takes the text as it is.
        click.echo(spelled_out(made.text) if sys.stdout.isatty() else made.text, nl=False)
    else:
        write_atomically(Path(out), made.text, private=False)
    if made.note:
        echo(made.note, err=True)
