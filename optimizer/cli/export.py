"""`metier export`: a prompt in the form that another tool holds."""

from __future__ import annotations

from pathlib import Path

import click

TARGETS = ("text", "messages", "openai", "anthropic", "dspy", "langchain", "promptfoo", "python")


@click.command(short_help="Export a prompt for another tool.")
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--to", "target", type=click.Choice(TARGETS), required=True, help="What is to hold the prompt.")
@click.option("--trial", type=int, metavar="N", help="That trial's prompt, not the winner's.")
@click.option("--predictor", metavar="NAME", help="That predictor's prompt alone, of a program with several.")
@click.option("--out", metavar="FILE", help="Write it there; default: standard output.")
def export(run_dir: str, target: str, trial: int | None, predictor: str | None, out: str | None) -> None:
    """Export the winner of the run in RUN_DIR (or a best.json) for another tool."""
    from optimizer.job.export import ship
    from optimizer.system.files import write_atomically

    made = ship(Path(run_dir), target, trial, predictor)
    if out is None:
        click.echo(made.text, nl=False)
    else:
        write_atomically(Path(out), made.text)
    if made.note:
        click.echo(made.note, err=True)
