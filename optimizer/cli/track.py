"""`metier track`, the mirror in MLflow, and `metier promote`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click


@click.group()
def track() -> None:
    """Write a run's trials to MLflow after the fact."""


@track.command()
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--uri", metavar="URI", help="Another MLflow than the run's own; it becomes the run's own.")
def sync(run_dir: str, uri: str | None) -> None:
    """Make MLflow say what the ledger of RUN_DIR says: from nothing, or what an outage left out."""
    from optimizer.report.markdown import candidate_md
    from optimizer.report.result import set_mlflow
    from optimizer.track.worker import sync as rebuild

    place = Path(run_dir)
    where, parent = rebuild(place, candidate_md, click.echo, uri)
    set_mlflow(place, {"tracking_uri": where, "run_id": parent})


@track.command(hidden=True)
@click.argument("run_dir", metavar="RUN_DIR")
def follow(run_dir: str) -> None:
    """Mirror RUN_DIR beside the process that works on it, which holds our standard input."""
    from optimizer.report.markdown import candidate_md
    from optimizer.track.worker import follow as mirror

    news = sys.stdout
    with redirect_stdout(sys.stderr):  # what libraries print must not mix with the news
        arrived = mirror(Path(run_dir), candidate_md, sys.stdin, news)
    sys.exit(0 if arrived else 1)


@click.command(short_help="Let an alias in MLflow mean a run's winner.")
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--alias", default="champion", show_default=True, help="The alias that shall mean the winner.")
def promote(run_dir: str, alias: str) -> None:
    """Ship the winner of RUN_DIR: register it in MLflow, and let an alias mean it."""
    from optimizer.track.promote import promote as ship

    click.echo(ship(Path(run_dir), alias))
