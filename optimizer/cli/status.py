"""`metier status`: how a run stands, read from its ledger."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from optimizer.report.status import Status


@click.command(short_help="Tell how a run stands.")
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(run_dir: str, as_json: bool) -> None:
    """Tell how the run in RUN_DIR stands: progress, best so far, spend, failures, time left."""
    from contextlib import closing

    from optimizer.ledger.reader import Reader
    from optimizer.report.status import read_status

    with closing(Reader(Path(run_dir) / "ledger.db")) as ledger:
        found = read_status(ledger)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else "\n".join(_lines(found, run_dir)))


def _lines(found: Status, run_dir: str) -> list[str]:
    from optimizer.report.words import at_most

    ended = sum(found.trials.values()) - found.trials["running"]
    states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in found.trials.items() if count)
    lines = [
        f"{found.task}: {found.state}" + (f", {found.verdict}" if found.verdict else ""),
        f"  trials    {ended}{at_most(found.planned)} ended" + (f" ({states})" if states else ""),
        f"  best      {_best(found)}",
        f"  spent     {', '.join(_spent(name, *pair) for name, pair in found.spent.items())}",
        f"  test      {found.test_calls:,} calls",
        f"  failures  {', '.join(f'{count} {kind}' for kind, count in found.failures.items()) or 'none'}",
    ]
    if found.lost_calls or found.attempts > 1:
        lines.append(
            f"  lost      {found.lost_calls} calls in flight when a process died, over {found.attempts} attempts"
        )
    if found.state != "finished":
        left = "not known yet" if found.seconds_left is None else f"about {_duration(found.seconds_left)}"
        lines.append(f"  time left {left}")
    if found.state == "interrupted":
        lines += [f"  stopped   {line}" for line in found.stopped.splitlines()]
        lines.append(f"Go on with: metier resume {run_dir}")
    return lines


def _best(found: Status) -> str:
    best = found.best
    if best is None:
        return "none yet"
    interval = f"[{best['low']:.2f}, {best['high']:.2f}]"
    return f"{best['score']:.3f} {interval} on {best['examples']} validation examples (trial {best['trial']})"


def _spent(name: str, figure: float, limit: float | None) -> str:
    if name == "seconds":
        return f"{_duration(figure)}" + ("" if limit is None else f" of {_duration(limit)}")
    unit, digits = ("dollars", 2) if name == "usd" else (name, 0)
    bound = "" if limit is None else f" of {limit:,.{digits}f}"
    return f"{figure:,.{digits}f}{bound} {unit}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
