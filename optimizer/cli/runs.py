"""`metier run`, `metier resume`, `metier eval` and `metier ui`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optimizer.cli.arguments import CONFIG, RUN_DIR, RUN_DIR_IF_ANY, RUN_FOLDER, SET, TASK_FOLDER, TRUST, scored_with
from optimizer.cli.help import Command
from optimizer.cli.text import echo

if TYPE_CHECKING:
    from optimizer.config.schema import RunConfig

GROUPS = {
    "What is run": ("--set", "--run-dir", "--prefer", "--dry"),
    "When a run goes on": ("--wait", "--accept-changes"),
    "Output": ("--quiet",),
}


def _going_on(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a run that may have been begun before."""
    wait = click.option("--wait", is_flag=True, help="Wait for another process that works on the same folder.")
    accept = click.option("--accept-changes", is_flag=True, help="Go on in spite of changes that are harmless.")
    quiet = click.option(
        "--quiet", is_flag=True, help="Print the result only, and on standard error what the run had to do without."
    )
    return wait(accept(quiet(command)))


@click.command(cls=Command, groups=GROUPS, short_help="Optimize the prompt that a config describes.")
@CONFIG
@SET
@click.option(
    "--run-dir", metavar="DIR", type=RUN_FOLDER, help="Where the run's files go; the same folder continues a run."
)
@click.option(
    "--prefer",
    type=(click.Choice(["cheapest-within", "fastest-within"]), float),
    metavar="cheapest-within|fastest-within MARGIN",
    help="Let the cheapest (or fastest) prompt within MARGIN of the best validation score win.",
)
@click.option("--dry", is_flag=True, help="Only tell what would be sent to whom: no call, no folder, no file.")
@_going_on
def run(
    config: str,
    overrides: tuple[str, ...],
    run_dir: str | None,
    prefer: tuple[str, float] | None,
    dry: bool,
    quiet: bool,
    wait: bool,
    accept_changes: bool,
) -> None:
    """Optimize the prompt that CONFIG describes.

    \b
    Examples:
      metier run configs/quickstart.yaml
      metier run run.yaml --set search.trials=20 --set budget.usd=2 --run-dir runs/mine
      metier run run.yaml --dry
    """
    from optimizer.config.load import load_config

    if prefer is not None:
        overrides = (*overrides, f"search.prefer={prefer[0]} {prefer[1]}")
    settings = load_config(config, overrides)
    if run_dir is not None:
        settings = settings.model_copy(update={"run_dir": run_dir})
    if dry:
        from optimizer.job.dry import dry as foreseen

        echo(foreseen(settings).text())
        return
    _optimize(settings, quiet, wait, accept_changes)


@click.command(
    cls=Command, groups={"What is run": ("--set",), **dict([*GROUPS.items()][1:])}, short_help="Go on with a run."
)
@RUN_DIR
@SET
@_going_on
def resume(run_dir: Path, overrides: tuple[str, ...], quiet: bool, wait: bool, accept_changes: bool) -> None:
    """Go on with the run in RUN_DIR (default: the newest), with the config that it was begun with.

    Nothing that was paid for is paid for again.

    \b
    Examples:
      metier resume
      metier resume runs/mine --set budget.calls=2000 --accept-changes
    """
    from optimizer.job.resume import stored_config

    _optimize(stored_config(run_dir, overrides), quiet, wait, accept_changes or bool(overrides))


def _optimize(settings: RunConfig, quiet: bool, wait: bool, accept_changes: bool) -> None:
    from optimizer.cli.live import make_watcher

    watcher = make_watcher(quiet)
    watcher.say("Loading …")
    from optimizer.job.run import run_config
    from optimizer.report.summary import summary

    try:
        report = run_config(settings, watcher, wait=wait, accept_changes=accept_changes)
    finally:
        watcher.end()
    echo("\n".join(["", *summary(report)]))


@click.command(
    "eval",
    cls=Command,
    groups={"What is scored": ("--prompt", "--split"), "By which model": ("--model", "--api-base", "--trust")},
    short_help="Score a saved prompt.",
)
@click.argument("task", metavar="TASK", type=TASK_FOLDER)
@click.option("--prompt", required=True, metavar="FILE", type=click.Path(), help="The best.json of a run.")
@scored_with
@TRUST
def evaluate(
    task: str, prompt: str, split: str, model: str | None, api_base: str | None, judge: str | None, trust: bool
) -> None:
    """Score a saved prompt on a split of TASK, run by the program of TASK.

    \b
    Examples:
      metier eval tasks/support_intent --prompt runs/mine/best.json
      metier eval tasks/support_intent --prompt runs/mine/best.json --model openai/gpt-4.1-mini
    """
    from optimizer.job.eval import evaluate_saved

    scored = evaluate_saved(task, prompt, split, model, api_base, trust, judge)
    low, high = scored.ci95
    click.echo(f"{scored.mean:.3f}  95 % interval [{low:.3f}, {high:.3f}]  {scored.answered} {split} examples")
    if scored.failures:
        click.echo(f"{scored.failures} answers never came and are left out", err=True)
    if scored.cut:
        message = f"{scored.cut} of {scored.answered} answers were cut off at their limit of tokens"
        click.echo(f"{message}: see models.task.max_tokens", err=True)


@click.command(short_help="Serve MLflow's pages over a run.")
@RUN_DIR_IF_ANY
@click.option("--port", default=5000, show_default=True, help="The port on 127.0.0.1.")
def ui(run_dir: Path | None, port: int) -> None:
    """Serve MLflow's pages on 127.0.0.1 over the database of RUN_DIR (default: the newest run).

    A run that is mirrored to a server is shown by that server: its address is printed.

    \b
    Examples:
      metier ui
      metier ui runs/mine --port 5001
    """
    from optimizer.track.address import is_server
    from optimizer.track.ui import serve, tracking_uri, trials_address

    uri = tracking_uri(run_dir)
    if is_server(uri):
        echo(uri, whole=True)
        return
    address = f"http://127.0.0.1:{port}"
    # The address comes before the imports and the server, which print warnings and logs of their own.
    echo(f"Starting MLflow's pages at {address} over {uri} …", whole=True)
    trials = trials_address(run_dir, uri)

    def ready() -> None:
        click.echo(f"{address} (Ctrl-C ends it)")
        if trials is not None:
            click.echo(f"Trials by score: {address}/{trials}")

    sys.exit(serve(uri, port, ready))
