"""`metier show`: one trial of a run, from its prompt to its answers."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optimizer.cli.arguments import JSON, RUN_DIR
from optimizer.cli.help import Command
from optimizer.cli.text import echo

if TYPE_CHECKING:
    from optimizer.report.trial import Shown


@click.command(
    cls=Command,
    groups={"What is shown": ("--trial", "--example"), "Output": ("--json",)},
    short_help="Show a trial: prompt, scores, answers.",
)
@RUN_DIR
@click.option(
    "--trial", "number", type=int, metavar="N", help="The trial's number; 0 is the seed, default: the winner."
)
@click.option(
    "--example", type=int, metavar="K", help="Only the answer to that example, with the messages sent for it."
)
@JSON
def show(run_dir: Path, number: int | None, example: int | None, as_json: bool) -> None:
    """Show a trial of the run in RUN_DIR (default: the newest), by default the winner.

    Its prompt as rendered messages, parameters, scores, and each answer.

    \b
    Examples:
      metier show
      metier show runs/mine --trial 7 --example 3
    """
    from optimizer.job.export import find_trial, find_winner, messages_for
    from optimizer.ledger.reader import Reader
    from optimizer.report.trial import shown_trial

    trial = find_winner(run_dir) if number is None else find_trial(run_dir, number)
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        shown = shown_trial(ledger, trial, example)
    messages = messages_for(run_dir, trial, shown.first, shown.inputs) if shown.inputs else []
    if as_json:
        echo(json.dumps({**shown.to_json(), "messages": messages}, ensure_ascii=False, indent=2), whole=True)
    else:
        echo("\n".join(_lines(shown, messages)), whole=True)


def _lines(shown: Shown, messages: list[dict[str, Any]]) -> list[str]:
    from optimizer.report.clean import cell, visible
    from optimizer.report.readout import offset_lines
    from optimizer.report.words import interval, readout_in_words

    trial = shown.trial
    score = "no score" if trial.score is None else f"{trial.score:.3f} {interval(trial.low, trial.high)}"
    tokens = "" if trial.tokens is None else f", {trial.tokens:.0f} tokens a call"
    lines = [
        f"trial {trial.number}: {trial.state.replace('_', ' ')}" + (f", {cell(trial.reason)}" if trial.reason else ""),
        f"  candidate {trial.candidate.id}, from {cell(trial.candidate.origin)}"
        + (f" by way of {', '.join(map(cell, trial.candidate.parents))}" if trial.candidate.parents else ""),
        f"  score     {score} on {trial.seen} validation examples, {trial.failures} failed calls{tokens}",
        "Parameters:",
        *(f"  {cell(name)}: {cell(value)}" for name, value in trial.params.items()),
    ]
    for prompt in trial.candidate.prompts.values():
        if prompt.readout != "generate":
            lines.append(readout_in_words(prompt))
        if prompt.calibration is not None:
            lines += [f"  {line}" for line in ("offset in nats, label", *offset_lines(prompt.calibration))]
    if messages:
        lines.append(f"Messages for example {shown.first}:")
    elif shown.inputs:
        lines.append("The messages are not known: the call was made for another trial, and no code of the task is run.")
    for message in messages:
        lines += [f"  --- {message['role']}", *(f"  {line}" for line in visible(message["content"]).split("\n"))]
    lines.append("Answers (score, input, expected → answer):")
    for row in shown.rows:
        value = row.failure or f"{row.value:.2f}"
        lines.append(f"  {row.place:3}  {value}  {cell(row.asked)}  {cell(row.expected)} → {cell(row.answer)}")
        if shown.alone and row.feedback:
            lines.append(f"       {cell(row.feedback)}")
    return lines
