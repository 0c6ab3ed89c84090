"""`metier run`, `metier resume`, `metier eval` and `metier ui`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from optimizer.config.schema import RunConfig
    from optimizer.report.result import Report


WAIT = click.option("--wait", is_flag=True, help="Wait for another process that works on the same folder.")
ACCEPT = click.option("--accept-changes", is_flag=True, help="Go on in spite of changes that are harmless.")
QUIET = click.option("--quiet", is_flag=True, help="Print the result only.")
SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")


@click.command()
@click.argument("config", metavar="CONFIG")
@SET
@click.option("--run-dir", metavar="DIR", help="Where the run's files go; the same folder continues a run.")
@click.option(
    "--prefer",
    type=(click.Choice(["cheapest-within"]), float),
    metavar="cheapest-within MARGIN",
    help="Let the cheapest prompt within MARGIN of the best validation score win.",
)
@QUIET
@WAIT
@ACCEPT
def run(
    config: str,
    overrides: tuple[str, ...],
    run_dir: str | None,
    prefer: tuple[str, float] | None,
    quiet: bool,
    wait: bool,
    accept_changes: bool,
) -> None:
    """Optimize the prompt that CONFIG describes."""
    from optimizer.config.load import load_config

    if prefer is not None:
        overrides = (*overrides, f"search.prefer={prefer[0]} {prefer[1]}")
    settings = load_config(config, overrides)
    if run_dir is not None:
        settings = settings.model_copy(update={"run_dir": run_dir})
    _optimize(settings, quiet, wait, accept_changes)


@click.command()
@click.argument("run_dir", metavar="RUN_DIR")
@SET
@QUIET
@WAIT
@ACCEPT
def resume(run_dir: str, overrides: tuple[str, ...], quiet: bool, wait: bool, accept_changes: bool) -> None:
    """Go on with the run in RUN_DIR, with the config that it was begun with."""
    from optimizer.job.resume import stored_config

    _optimize(stored_config(run_dir, overrides), quiet, wait, accept_changes or bool(overrides))


def _optimize(settings: RunConfig, quiet: bool, wait: bool, accept_changes: bool) -> None:
    from optimizer.cli.live import make_watcher

    watcher = make_watcher(quiet)
    watcher.say("Loading …")
    from optimizer.job.run import optimize

    _print_report(optimize(settings, watcher, wait=wait, accept_changes=accept_changes))


def _print_report(report: Report) -> None:
    low, high = report.difference_ci95
    usage = report.usage
    click.echo("")
    click.echo(f"{report.verdict}: {report.recommendation}")
    for name, side in (("seed", report.seed), ("winner", report.winner)):
        ci = side.test_ci95
        click.echo(
            f"  {name:7} {side.test_score:.3f}  [{ci[0]:.3f}, {ci[1]:.3f}]  {side.tokens_per_call:.0f} tokens a call"
        )
    click.echo(f"  paired  {report.difference:+.3f}  [{low:+.3f}, {high:+.3f}] on {report.test_examples} test examples")
    for beside in report.baselines:
        (low, high), ci = beside.difference_ci95, beside.side.test_ci95
        click.echo(
            f"  {beside.name}, no search: {beside.side.test_score:.3f}  [{ci[0]:.3f}, {ci[1]:.3f}]  winner "
            f"{beside.difference:+.3f}  [{low:+.3f}, {high:+.3f}] on the same {beside.examples}"
        )
    paid, tokens = sum(usage["calls"].values()), usage["input_tokens"] + usage["output_tokens"]
    done = sum(report.trials.values())
    click.echo(f"  {done} trials, {paid} calls, {tokens:,} tokens, ${usage['usd']:.4f}, {report.seconds:.0f} s")
    if report.lost_calls:
        click.echo(f"  {report.lost_calls} calls were in flight when it was cut off, and were made again")
    click.echo(f"The prompt: {report.run_dir / 'best.md'} (to run it: best.json)")
    if report.mlflow and report.mlflow["run_id"]:
        click.echo(f"Every trial: metier ui {report.run_dir}")


@click.command("eval")
@click.argument("task", metavar="TASK")
@click.option("--prompt", "prompt", required=True, metavar="FILE", help="The best.json of a run.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--model", metavar="NAME", help="Another model than the one the prompt was optimized for.")
@click.option("--api-base", metavar="URL", help="The endpoint of --model.")
def evaluate(task: str, prompt: str, split: str, model: str | None, api_base: str | None) -> None:
    """Score a saved prompt on a split of TASK."""
    from optimizer.job.eval import evaluate_saved

    scored = evaluate_saved(task, prompt, split, model, api_base)
    low, high = scored.ci95
    click.echo(f"{scored.mean:.3f}  95 % interval [{low:.3f}, {high:.3f}]  {scored.answered} {split} examples")
    if scored.failures:
        click.echo(f"{scored.failures} answers never came and are left out", err=True)


@click.command(short_help="Serve the MLflow UI over a run.")
@click.argument("run_dir", metavar="[RUN_DIR]", required=False)
@click.option("--port", default=5000, show_default=True, help="The port on 127.0.0.1.")
def ui(run_dir: str | None, port: int) -> None:
    """Serve the MLflow UI on 127.0.0.1 over the database of RUN_DIR (default: the latest run).

    A run that is mirrored to a server is shown by that server: its address is printed.
    """
    from optimizer.track.address import is_server
    from optimizer.track.ui import latest, serve, tracking_uri, trials_address

    place = Path(run_dir) if run_dir else None
    uri = tracking_uri(place)
    if is_server(uri):
        click.echo(uri)
        return
    trials = trials_address(place or latest(), uri)

    def ready() -> None:
        click.echo(f"http://127.0.0.1:{port} (Ctrl-C ends it)")
        if trials is not None:
            click.echo(f"Trials by score: http://127.0.0.1:{port}/{trials}")

    click.echo(f"Starting MLflow's pages over {uri} …")
    sys.exit(serve(uri, port, ready))
