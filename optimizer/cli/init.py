"""`metier init`: a task from a file of examples."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from optimizer.cli.help import Command
from optimizer.cli.text import echo
from optimizer.errors import ConfigError

if TYPE_CHECKING:
    from optimizer.job.init import Examples, Proposal
    from optimizer.task.guess import Wishes

GROUPS = {
    "What is proposed": ("--answer", "--input", "--judge"),
    "What is written": ("--out", "--yes"),
}


@click.command(cls=Command, groups=GROUPS, short_help="Make a task of a file of examples.")
@click.argument("data", metavar="DATA", type=click.Path())
@click.option("--out", metavar="FOLDER", help="The task's folder; default: the data's name.")
@click.option("--yes", is_flag=True, help="Take what is proposed, and ask nothing.")
@click.option("--judge", is_flag=True, help="Let a judge score texts, by a rubric to be edited.")
@click.option("--answer", "answers", multiple=True, metavar="COLUMN", help="The column that is to be answered.")
@click.option("--input", "inputs", multiple=True, metavar="COLUMN", help="A column that is read; may be repeated.")
def init(data: str, out: str | None, yes: bool, judge: bool, answers: tuple[str, ...], inputs: tuple[str, ...]) -> None:
    """Look at DATA, propose a task and a run, and write them: task.yaml, run.yaml and a copy of the data.

    DATA is a .csv, .tsv, .json, .jsonl, .parquet or .xlsx file, a folder of texts, a folder with files train and
    test, or hf:owner/name. It shows what it proposes and why, asks what it cannot know, and overwrites no file.

    \b
    Examples:
      metier init tickets.csv
      metier init tickets.xlsx --answer team --out tasks/tickets --yes
    """
    from optimizer.job.init import read_examples
    from optimizer.job.init_files import folder_of, source_of, write
    from optimizer.task.guess import Wishes

    source = source_of(data)
    folder = folder_of(source, out)
    asks = not yes and _can_ask()
    proposal = _proposed(read_examples(source), Wishes(answers, inputs, judge), asks)
    for note in proposal.notes:
        echo(f"note: {note}")
    for line in _lines(proposal.reasons):
        echo(line)
    if not yes and not asks:
        raise ConfigError("nothing was written: nobody is there to be asked", "Add --yes to take what is proposed.")
    if asks and not click.confirm(f"Write it into {folder}?", default=True):
        raise click.Abort
    for file in write(source, proposal.written, proposal.data, proposal.run, folder):
        echo(f"wrote {file}")
    echo(f"Next: metier run {folder / 'run.yaml'}    (first, if you like: metier tasks check {folder})")


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _proposed(examples: Examples, wishes: Wishes, asks: bool) -> Proposal:
    """Return the proposal; which column is the answer is asked where nobody has said it and it cannot be told."""
    from optimizer.job.init import propose
    from optimizer.task.guess import AnswerNeeded

    try:
        return propose(examples, wishes)
    except AnswerNeeded as question:
        if not asks:
            raise
        answer = click.prompt("Which column is the answer?", type=click.Choice(question.choices))
        return propose(examples, replace(wishes, answers=(answer,)))


def _lines(reasons: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    width = max(len(what) for what, _, _ in reasons)
    for what, value, why in reasons:
        yield f"{what:{width}}  {value}"
        yield f"{'':{width}}  ({why})"
