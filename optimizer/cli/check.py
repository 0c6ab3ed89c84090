"""`metier check`: a gate for CI."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("place", metavar="CONFIG_OR_PROMPT")
@click.option("--min", "least", type=click.FloatRange(0, 1), metavar="SCORE", help="The score that it must reach.")
@click.option("--against", metavar="PROMPT", help="A best.json, or an alias in the registry: champion.")
@click.option(
    "--margin", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="How much worse is allowed."
)
@click.option("--task", metavar="FOLDER", help="The task; a config names its own.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--model", metavar="NAME", help="Another model than the one the prompt was optimized for.")
@click.option("--api-base", metavar="URL", help="The endpoint of --model.")
@click.option("--junit", metavar="FILE", help="Write JUnit's XML there.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def check(
    place: str,
    least: float | None,
    against: str | None,
    margin: float,
    task: str | None,
    split: str,
    model: str | None,
    api_base: str | None,
    junit: str | None,
    as_json: bool,
) -> None:
    """Check that a prompt still holds. Exit code 0: it does; 1: it fell; 2: that cannot be told.

    CONFIG is a run's YAML: its run_dir's best.json is checked, or the task's own instruction where there is none.
    PROMPT is a best.json. What a 95 % interval says counts: one that straddles the mark tells nothing.
    """
    from optimizer.job.check import EXIT, Wanted
    from optimizer.job.check import check as checked
    from optimizer.report.clean import cell
    from optimizer.system.files import write_atomically

    found = checked(place, Wanted(least, against, margin), split, task, model, api_base)
    if junit is not None:
        write_atomically(Path(junit), found.to_junit())
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        click.echo(f"{found.outcome}: {cell(found.prompt)} on {cell(found.task)}")
        for one in found.criteria:
            click.echo(f"  {one.outcome:8}{cell(one.message)}")
    click.get_current_context().exit(EXIT[found.outcome])
