"""`metier sweep`: many runs from one file."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.cli.arguments import JSON, Completed
from optimizer.cli.help import Command
from optimizer.cli.text import echo, spent_of
from optimizer.errors import Interrupted

if TYPE_CHECKING:
    from optimizer.sweep.run import Ended
    from optimizer.sweep.status import SweepStatus

# What a sweep ends with that was played to its end, and some of whose cells failed or were not begun.
INCOMPLETE = 1


def _sweep_files() -> list[str]:
    folders = sorted(str(ledger.parent) for ledger in Path("sweeps").glob("*/sweep.db"))
    return [*sorted(str(file) for folder in (".", "configs") for file in Path(folder).glob("*sweep*.yaml")), *folders]


SWEEP_FILE = Completed(_sweep_files)
FOLDER = click.argument("folder", metavar="FOLDER", type=SWEEP_FILE)
PARALLEL = click.option("--parallel", type=click.IntRange(min=1), metavar="N", help="Cells at a time.")
QUIET = click.option("--quiet", is_flag=True, help="Print the result only.")


class SweepGroup(click.Group):
    """A group of which `run` may be left out: `metier sweep sweep.yaml` is `metier sweep run sweep.yaml`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before a path, or before an option of its own."""
        own = {*self.commands, *ctx.help_option_names}
        if args and args[0] not in own and (os.path.exists(args[0]) or args[0].startswith("-") or _is_path(args[0])):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _is_path(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text


@click.group(cls=SweepGroup, short_help="Play many runs from one file, and compare them.")
def sweep() -> None:
    """Play many runs from one file, and compare them: tasks × models × strategies × seeds.

    `metier sweep FILE` is short for `metier sweep run FILE`.

    \b
    Examples:
      metier sweep configs/sweep.yaml
      metier sweep configs/sweep.yaml --dry
      metier sweep status sweeps/sweep
    """


@sweep.command(
    cls=Command,
    groups={"What is played": ("--folder", "--parallel", "--dry"), "Output": ("--quiet",)},
    short_help="Begin a sweep, or go on with it.",
)
@click.argument("source", metavar="SWEEP", type=SWEEP_FILE)
@click.option("--folder", metavar="DIR", type=click.Path(), help="Where it lies; default: sweeps/, by the file's name.")
@PARALLEL
@click.option("--dry", is_flag=True, help="Only list the cells with a forecast: no call, no folder, no file.")
@QUIET
def run(source: str, folder: str | None, parallel: int | None, dry: bool, quiet: bool) -> None:
    """Play the cells of SWEEP, a YAML file or a sweep's folder, that are not finished yet.

    Stopped or killed anywhere, the same command goes on, and pays for no answer twice. Cells that failed are tried
    again. Exit code 0: all cells are finished; 1: some failed or were not begun; 130: it was interrupted.

    \b
    Examples:
      metier sweep run configs/sweep.yaml
      metier sweep run configs/sweep.yaml --folder sweeps/mine --parallel 2
      metier sweep run sweeps/mine
    """
    home = None if folder is None else Path(folder)
    if dry:
        from optimizer.sweep.dry import dry_sweep

        echo(dry_sweep(Path(source), home), whole=True)
        return
    _play(Path(source), home, (), parallel, quiet)


@sweep.command(
    cls=Command,
    groups={"What is played": ("--parallel", "--dry"), "Output": ("--quiet",)},
    short_help="Add values to a sweep's matrix, and play what is new.",
)
@FOLDER
@click.argument("values", metavar="KEY=VALUE…", nargs=-1, required=True)
@PARALLEL
@click.option("--dry", is_flag=True, help="Only list the cells with a forecast: no call, no folder, no file.")
@QUIET
def add(folder: str, values: tuple[str, ...], parallel: int | None, dry: bool, quiet: bool) -> None:
    """Add values of keys to the matrix of the sweep in FOLDER, and play what is new or not finished.

    \b
    Examples:
      metier sweep add sweeps/mine seed=3
      metier sweep add sweeps/mine search.strategy=random seed=3 seed=4
    """
    if dry:
        from optimizer.sweep.dry import dry_sweep

        echo(dry_sweep(Path(folder), None, values), whole=True)
        return
    _play(Path(folder), None, values, parallel, quiet)


def _play(source: Path, home: Path | None, additions: tuple[str, ...], parallel: int | None, quiet: bool) -> None:
    from optimizer.sweep.artifacts import report_kept
    from optimizer.sweep.mirror import STOPPED_PATIENCE, mirrored
    from optimizer.sweep.report import FILES, make_sweep_report
    from optimizer.sweep.run import play_sweep, sweep_folder

    say = (lambda text: None) if quiet else lambda text: echo(text)
    folder = sweep_folder(source, home)
    try:
        ended = play_sweep(source, home, additions, parallel, say)
    except BaseException as end:
        if (folder / "sweep.db").is_file():
            if isinstance(end, Interrupted) and (away := mirrored(folder, STOPPED_PATIENCE)):
                echo(f"MLflow does not know that the sweep was stopped: {away}", err=True)
            echo(f"How it stands: metier sweep status {folder}", err=True, whole=True)
        raise
    page = make_sweep_report(ended.folder)
    for problem in (mirrored(ended.folder), report_kept(ended.folder, FILES)):
        if problem:
            echo(f"{problem}; again: metier sweep {ended.folder}", err=True)
    echo("\n".join(_result(ended)))
    echo(str(page), whole=True)
    if not ended.complete:
        click.get_current_context().exit(INCOMPLETE)


def _result(ended: Ended) -> list[str]:
    lines = [f"{ended.finished:,} cells are finished" + (f", {ended.failed:,} failed" if ended.failed else "")]
    if ended.not_begun:
        lines.append(f"{ended.not_begun:,} cells were not begun: the time of the budget is over")
    if not ended.complete:
        lines.append(f"Why: metier sweep status {ended.folder}; again: metier sweep {ended.folder}")
    return lines


@sweep.command(short_help="Tell how a sweep stands.")
@FOLDER
@JSON
def status(folder: str, as_json: bool) -> None:
    """Tell how the sweep in FOLDER stands: its cells, what they spent, and why some failed.

    \b
    Examples:
      metier sweep status sweeps/mine
      metier sweep status sweeps/mine --json
    """
    from optimizer.sweep.status import sweep_status

    state = sweep_status(Path(folder))
    if as_json:
        click.echo(json.dumps(asdict(state), indent=2))
    else:
        echo("\n".join(_lines(state)))


def _lines(state: SweepStatus) -> list[str]:
    from optimizer.report.clean import cell

    counts = ", ".join(f"{count:,} {name}" for name, count in state.cells.items() if count)
    lines = [
        f"{state.folder}: {state.state}",
        f"  cells     {counts}",
        f"  spent     {', '.join(spent_of(name, *pair) for name, pair in state.spent.items())}",
    ]
    for one in state.unfinished:
        detail = f": {one.detail.splitlines()[0]}" if one.detail else ""
        lines.append(f"  {one.state:11} {cell(one.name)}{cell(detail)}")
    if state.state == "interrupted":
        lines.append(f"Go on with: metier sweep {state.folder}")
    return lines


@sweep.command(short_help="Write a sweep's report anew.")
@FOLDER
@click.option("--open", "open_it", is_flag=True, help="Open the page in a browser.")
def report(folder: str, open_it: bool) -> None:
    """Write report.html, report.md, cells.csv and cells.parquet of the sweep in FOLDER, however far it came.

    \b
    Examples:
      metier sweep report sweeps/mine
      metier sweep report sweeps/mine --open
    """
    from optimizer.sweep.report import make_sweep_report

    page = make_sweep_report(Path(folder))
    echo(str(page), whole=True)
    if open_it:
        click.launch(page.resolve().as_uri())


@sweep.command(hidden=True)
@FOLDER
def mirror(folder: str) -> None:
    """Tell MLflow how the sweep in FOLDER stands; the mirror of its cells is their own.

    \b
    Example:
      metier sweep mirror sweeps/mine
    """
    from optimizer.sweep.mirror import mirror_sweep

    if problem := mirror_sweep(Path(folder)):
        echo(f"MLflow was not reached ({problem})", err=True)
        click.get_current_context().exit(INCOMPLETE)


@sweep.command(hidden=True)
def cell() -> None:
    """Play the cell whose order comes on standard input; what it prints goes to standard error.

    \b
    Example:
      metier sweep cell
    """
    from optimizer.sweep.worker import work

    news = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.exit(work(sys.stdin, news))
