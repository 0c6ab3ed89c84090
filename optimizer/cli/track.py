"""`metier track`, the mirror in MLflow, and `metier promote`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from optimizer.cli.arguments import RUN_FOLDER
from optimizer.cli.text import echo

RUN = click.argument("run_dir", metavar="RUN_DIR", type=RUN_FOLDER)


@click.group(short_help="Write a run's trials to MLflow after the fact.")
def track() -> None:
    """Write a run's trials to MLflow after the fact.

    \b
    Example:
      metier track sync runs/mine
    """


@track.command(short_help="Make MLflow say what a run's ledger says.")
@RUN
@click.option("--uri", metavar="URI", help="Another MLflow than the run's own; it becomes the run's own.")
def sync(run_dir: str, uri: str | None) -> None:
    """Make MLflow say what the ledger of RUN_DIR says: from nothing, or what an outage left out.

    \b
    Examples:
      metier track sync runs/mine
      metier track sync runs/mine --uri http://127.0.0.1:5000
    """
    from optimizer.report.markdown import candidate_md
    from optimizer.report.result import write_result
    from optimizer.track.worker import sync as rebuild

    report = rebuild(Path(run_dir), candidate_md, echo, uri)
    if report is not None:
        write_result(report)


@track.command(hidden=True)
@RUN
def follow(run_dir: str) -> None:
    """Mirror RUN_DIR beside the process that works on it, which holds our standard input."""
    from optimizer.report.markdown import candidate_md
    from optimizer.track.worker import follow as mirror

    news = sys.stdout
    with redirect_stdout(sys.stderr):  # what libraries print must not mix with the news
        arrived = mirror(Path(run_dir), candidate_md, sys.stdin, news)
    sys.exit(0 if arrived else 1)


@click.command(short_help="Let an alias in MLflow mean a run's winner.")
@RUN
@click.option("--alias", default="champion", show_default=True, help="The alias that shall mean the winner.")
def promote(run_dir: str, alias: str) -> None:
    """Ship the winner of RUN_DIR: register it in MLflow, and let an alias mean it.

    \b
    Examples:
      metier promote runs/mine
      metier promote runs/mine --alias staging
    """
    from optimizer.track.promote import promote as ship

    echo(ship(Path(run_dir), alias))
