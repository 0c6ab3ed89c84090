"""`metier check`: a gate for CI."""

from __future__ import annotations

import json
from pathlib import Path

import click

from optimizer.cli.arguments import JSON, TASK_FOLDER, TRUST, scored_with
from optimizer.cli.help import Command
from optimizer.cli.text import echo

GROUPS = {
    "What must hold": ("--min", "--against", "--margin"),
    "What is scored": ("--task", "--split", "--model", "--api-base", "--judge", "--trust"),
    "Output": ("--junit", "--json"),
}


@click.command(cls=Command, groups=GROUPS, short_help="Check that a prompt still holds (for CI).")
@click.argument("subject", metavar="CONFIG_OR_PROMPT", type=click.Path())
@click.option("--min", "least", type=click.FloatRange(0, 1), metavar="SCORE", help="The score that it must reach.")
@click.option("--against", metavar="PROMPT", help="A best.json, or an alias in the registry: champion.")
@click.option(
    "--margin", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="How much worse is allowed."
)
@click.option("--task", metavar="FOLDER", type=TASK_FOLDER, help="The task; a config names its own.")
@scored_with
@TRUST
@click.option("--junit", metavar="FILE", help="Write JUnit's XML there.")
@JSON
def check(
    subject: str,
    least: float | None,
    against: str | None,
    margin: float,
    task: str | None,
    split: str,
    model: str | None,
    api_base: str | None,
    judge: str | None,
    trust: bool,
    junit: str | None,
    as_json: bool,
) -> None:
    """Check that a prompt still holds. Exit code 0: it does; 1: it fell; 2: that cannot be told.

    CONFIG is a run's YAML: its run_dir's best.json is checked, or the task's own instruction where there is none.
    PROMPT is a best.json, run by the task's own program. What a 95 % interval says counts: one that straddles the
    mark tells nothing.

    \b
    Examples:
      metier check runs/mine/best.json --task tasks/support_intent --min 0.85 --junit check.xml
      metier check runs/new/best.json --task tasks/support_intent --against runs/mine/best.json
    """
    from optimizer.job.check import EXIT, Wanted
    from optimizer.job.check import check as run_check
    from optimizer.report.clean import cell
    from optimizer.system.files import write_atomically

    result = run_check(subject, Wanted(least, against, margin), split, task, model, api_base, trust, judge)
    if junit is not None:
        write_atomically(Path(junit), result.to_junit(), private=False)
    if as_json:
        echo(json.dumps(result.to_json(), ensure_ascii=False, indent=2), whole=True)
    else:
        echo(f"{result.outcome}: {cell(result.prompt)} on {cell(result.task)}")
        for criterion in result.criteria:
            echo(f"  {criterion.outcome:8}{cell(criterion.message)}")
    click.get_current_context().exit(EXIT[result.outcome])
