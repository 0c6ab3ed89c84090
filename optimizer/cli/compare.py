"""`metier compare`: runs side by side on their common test examples."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from optimizer.report.compare import Comparison


@click.command(short_help="Compare the winners of runs, pair by pair.")
@click.argument("runs", metavar="RUN_DIR…", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Compare the winners of runs, pair by pair, on the test examples that all of them answered.

    The first run is what the others are measured by; a single run is measured by its own seed.
    """
    from optimizer.report.compare import compare as paired

    found = paired([Path(run) for run in runs])
    click.echo(json.dumps(asdict(found), indent=2) if as_json else "\n".join(_lines(found)))


def _lines(found: Comparison) -> list[str]:
    from optimizer.report.clean import cell

    width = max(len(cell(side.name)) for side in found.sides)
    lines = [f"{found.examples} common test examples, {cell(found.metric)}; 95 % intervals"]
    for side in found.sides:
        line = f"  {cell(side.name):{width}}  {side.score:.3f} [{side.ci95[0]:.3f}, {side.ci95[1]:.3f}]"
        if side.gain is not None and side.gain_ci95 is not None:
            low, high = side.gain_ci95
            word = "better" if low > 0 else "worse" if high < 0 else "not told apart"
            line += f"  {side.gain:+.3f} [{low:+.3f}, {high:+.3f}]  {word}"
        lines.append(line)
    if len(found.sides) > 2:
        lines.append("Each difference is to the first line, at 95 % for itself: of many, one in twenty is chance.")
    return lines
