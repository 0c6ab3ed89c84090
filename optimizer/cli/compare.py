"""`metier compare`: runs side by side on their common test examples."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.cli.arguments import JSON, RUN_FOLDER
from optimizer.cli.text import echo

if TYPE_CHECKING:
    from optimizer.report.compare import Comparison


@click.command(short_help="Compare the winners of runs, pair by pair.")
@click.argument("runs", metavar="RUN_DIR…", nargs=-1, required=True, type=RUN_FOLDER)
@JSON
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Compare the winners of runs, pair by pair, on the test examples that all of them answered.

    The first run is what the others are measured by; a single run is measured by its own seed.

    \b
    Examples:
      metier compare runs/mine
      metier compare runs/mine runs/other --json
    """
    from optimizer.report.compare import compare as paired

    comparison = paired([Path(run) for run in runs])
    if as_json:
        click.echo(json.dumps(asdict(comparison), indent=2))
    else:
        echo(_text(comparison))


def _text(comparison: Comparison) -> str:
    from optimizer.report.clean import cell
    from optimizer.report.words import interval

    width = max(len(cell(side.name)) for side in comparison.sides)
    lines = [f"{comparison.examples} common test examples, {cell(comparison.metric)}; 95 % intervals"]
    for side in comparison.sides:
        line = f"  {cell(side.name):{width}}  {side.score:.3f} {interval(*side.ci95)}"
        if side.gain is not None and side.gain_ci95 is not None:
            low, high = side.gain_ci95
            word = "better" if low > 0 else "worse" if high < 0 else "not told apart"
            line += f"  {side.gain:+.3f} {interval(low, high, form='+.3f')}  {word}"
        lines += [line, f"  {'':{width}}  {cell(side.prompt)}"]
    if len(comparison.sides) > 2:
        lines.append("Each difference is to the first line, at 95 % for itself: of many, one in twenty is chance.")
    return "\n".join(lines)
