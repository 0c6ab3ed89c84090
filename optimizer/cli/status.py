"""`metier status`: how a run stands, read from its ledger."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.cli.arguments import JSON, RUN_DIR
from optimizer.cli.text import best_text, duration, echo, spent_of

if TYPE_CHECKING:
    from optimizer.report.status import Status


@click.command(short_help="Tell how a run stands.")
@RUN_DIR
@JSON
def status(run_dir: Path, as_json: bool) -> None:
    """Tell how the run in RUN_DIR (default: the newest) stands: progress, best so far, spend, failures, time left.

    \b
    Examples:
      metier status
      metier status runs/mine --json
    """
    from optimizer.ledger.reader import Reader
    from optimizer.report.status import read_status

    with closing(Reader(run_dir / "ledger.db")) as ledger:
        state = read_status(ledger)
    if as_json:
        click.echo(json.dumps(asdict(state), indent=2))
    else:
        echo("\n".join(_lines(state, run_dir)))


def _lines(status: Status, run_dir: Path) -> list[str]:
    from optimizer.evaluate.latency import Latency
    from optimizer.report.clean import cell
    from optimizer.report.words import at_most, masked_text

    ended = sum(status.trials.values()) - status.trials["running"]
    states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in status.trials.items() if count)
    lines = [
        f"{status.task}: {status.state}" + (f", {status.verdict}" if status.verdict else ""),
        f"  trials    {ended}{at_most(status.planned)} ended" + (f" ({states})" if states else ""),
        f"  best      {best_text(status.best)}",
        *([f"  prompt    {cell(status.prompt)}"] if status.prompt else []),
        *([f"  latency   {Latency.from_json(status.latency).text()}"] if status.latency is not None else []),
        f"  spent     {', '.join(spent_of(name, *pair) for name, pair in status.spent.items())}",
        f"  test      {status.test_calls:,} calls",
        f"  failures  {', '.join(f'{count} {kind}' for kind, count in status.failures.items()) or 'none'}",
    ]
    if status.consistency:
        lines.append(f"  answers   {status.consistency}")
    if status.masked is not None:
        lines.append(f"  masked    {masked_text(status.masked)}")
    for batch in status.batches:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(batch.started))
        out = f"out since {since}, {batch.answered:,} of {batch.requests:,} calls answered"
        lines.append(f"  batch     {out} ({duration(max(0.0, time.time() - batch.started))})")
    cut, answers = status.cut
    if cut:
        lines.append(f"  cut off   {cut:,} of {answers:,} answers at their limit of tokens: see models.task.max_tokens")
    if status.lost_calls or status.attempts > 1:
        lines.append(
            f"  lost      {status.lost_calls} calls in flight when a process died, over {status.attempts} attempts"
        )
    if status.state != "finished":
        left = "not known yet" if status.seconds_left is None else f"about {duration(status.seconds_left)}"
        lines.append(f"  time left {left}")
    if status.state == "interrupted":
        lines += [f"  stopped   {line}" for line in status.stopped.splitlines()]
        if status.batches:
            lines.append("What a batch is answered is fetched, and not paid again, when the run goes on.")
        lines.append(f"Go on with: metier resume {run_dir}")
    return lines
