"""`metier report`: the report of a run, made anew from its ledger."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write a run's report.html and report.md.")
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--open", "open_it", is_flag=True, help="Open the page in a browser.")
def report(run_dir: str, open_it: bool) -> None:
    """Write report.html and report.md of the run in RUN_DIR: also while it is going on, or interrupted."""
    from optimizer.report.files import make_reports

    page = make_reports(Path(run_dir))
    click.echo(page)
    if open_it:
        click.launch(page.resolve().as_uri())
