"""`metier report`: the report of a run, made anew from its ledger."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.cli.arguments import RUN_DIR
from optimizer.cli.text import echo


@click.command(short_help="Write a run's report.html and report.md.")
@RUN_DIR
@click.option("--out", metavar="FOLDER", type=click.Path(), help="Write them there; default: the run's own folder.")
@click.option("--open", "open_it", is_flag=True, help="Open the page in a browser.")
def report(run_dir: Path, out: str | None, open_it: bool) -> None:
    """Write report.html and report.md of the run in RUN_DIR (default: the newest).

    The run may still be going on, or interrupted; the report says so.

    \b
    Examples:
      metier report --open
      metier report runs/mine --out .
    """
    from optimizer.report.files import make_reports

    page = make_reports(run_dir, None if out is None else Path(out))
    echo(str(page), whole=True)
    if open_it:
        click.launch(page.resolve().as_uri())
