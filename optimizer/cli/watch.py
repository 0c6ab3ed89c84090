"""`metier watch`: whether a provider changed the model under its name, on a schedule's call."""

from __future__ import annotations

import json
from pathlib import Path

import click

from optimizer.cli.arguments import JSON, RUN_DIR, TASK_FOLDER, TRUST
from optimizer.cli.help import Command
from optimizer.cli.text import echo

GROUPS = {
    "The watch": ("--examples", "--folder", "--accept"),
    "What is asked": ("--task", "--model", "--api-base", "--judge", "--trust"),
    "Output": ("--junit", "--notify-env", "--json"),
}


@click.command(cls=Command, groups=GROUPS, short_help="Watch whether a model changed under its name (for cron, CI).")
@RUN_DIR
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many test examples a check asks, at most.",
)
@click.option("--folder", metavar="DIR", help="What is kept between the calls; default: watch in the run's folder.")
@click.option("--accept", is_flag=True, help="Begin anew: today's answers to all test examples are the right ones.")
@click.option("--task", metavar="FOLDER", type=TASK_FOLDER, help="The task; default: the run's.")
@click.option("--model", metavar="NAME", help="Another name of the model that the run asked.")
@click.option("--api-base", metavar="URL", help="The endpoint of --model.")
@click.option("--judge", metavar="NAME", help="The model that grades, where the task's metric is judge.")
@TRUST
@click.option("--junit", metavar="FILE", help="Write JUnit's XML there.")
@click.option("--notify-env", metavar="NAME", help="The variable with a webhook's address; default: the run's.")
@JSON
def watch(
    run_dir: Path,
    examples: int,
    folder: str | None,
    accept: bool,
    task: str | None,
    model: str | None,
    api_base: str | None,
    judge: str | None,
    trust: bool,
    junit: str | None,
    notify_env: str | None,
    as_json: bool,
) -> None:
    """Ask the winner's test examples again. Exit code 0: no change is seen; 1: the model changed; 2: cannot be told.

    RUN_DIR is a finished run's folder, or the best.json in it. Scores are compared with those of the run's test and of
    earlier checks, at temperature 0 the answers, too. However often it is run, the chance of an alarm without a change
    is at most 2.5 %. An alarm stands, and nothing more is asked, until it is accepted.

    \b
    Examples:
      metier watch runs/mine --junit watch.xml
      metier watch runs/mine --accept
    """
    from optimizer.config.schema import Notify
    from optimizer.job.check import EXIT
    from optimizer.job.notify import notify, watched
    from optimizer.job.watch import FOLDER, Asking, canary_of, mark_told, watching
    from optimizer.job.watch import accept as begin_anew
    from optimizer.job.watch import watch as check_again
    from optimizer.report.clean import cell
    from optimizer.system.files import write_atomically

    def say(text: str) -> None:
        echo(text, err=True)

    asking = Asking(task, model, api_base, judge, trust, examples)
    canary = canary_of(run_dir, asking)
    kept = Path(folder) if folder else canary.run_dir / FOLDER
    with watching(kept):
        if accept:
            result = begin_anew(canary, kept)
        else:
            result, state = check_again(canary, asking, kept, say)
            hook = Notify(url_env=notify_env) if notify_env else canary.config.notify
            if result.outcome != "holds" and not state.told:
                told = notify(hook, watched(result), say)
                if told and state.alarm is not None:
                    mark_told(kept, state)
    if junit is not None:
        write_atomically(Path(junit), result.to_junit(), private=False)
    if as_json:
        echo(json.dumps(result.to_json(), ensure_ascii=False, indent=2), whole=True)
    else:
        echo(cell(result.headline))
        for sign in result.signs:
            echo(f"  {sign.outcome:8}{cell(sign.name)}: {cell(sign.message)}")
    click.get_current_context().exit(EXIT[result.outcome])
