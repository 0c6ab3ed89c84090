"""`metier judge`: whether a task's judge can be believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from optimizer.cli.arguments import JSON, RUN_DIR, RUN_FOLDER, SET, TASK_FOLDER
from optimizer.cli.help import Command
from optimizer.cli.text import echo

GROUPS = {
    "What people scored": ("--data", "--scores", "--answer"),
    "Who judges": ("--config", "--set", "--model", "--api-base", "--again"),
    "Output": ("--json",),
}

TUNE_GROUPS = {
    "What people scored": GROUPS["What people scored"],
    "Who judges": ("--config", "--set", "--model", "--api-base"),
    "The run": ("--run-dir", "--out"),
    "Output": ("--quiet", "--json"),
}
_SCORED = (
    click.option("--data", metavar="FILE", help="Inputs, answers and scores; default: the task's own data file."),
    click.option("--scores", metavar="COLUMN", help="People's scores; default: columns named as the criteria."),
    click.option("--answer", "answers", multiple=True, metavar="COLUMN", help="The answers; OUTPUT=COLUMN if several."),
    click.option("--config", metavar="FILE", help="The run's YAML, which names the judge."),
    SET,
    click.option("--model", metavar="NAME", help="The judge, in the place of the config's."),
    click.option("--api-base", metavar="URL", help="The endpoint of --model."),
)


def _scored(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what people scored, and who judges."""
    for option in reversed(_SCORED):
        command = option(command)
    return command


@click.group(short_help="Check and tune a task's judge, and check a run's verdict, against people.")
def judge() -> None:
    """Check and tune a task's judge against people, and check a run's verdict.

    \b
    Example:
      metier judge check tasks/summary --scores rating --answer summary_of_today --model openai/gpt-4.1-mini
      metier judge tune tasks/summary --answer summary_of_today --model openai/gpt-4.1-mini --set budget.calls=600
      metier judge sample runs/mine --out rate.csv
      metier judge verdict runs/mine --scores rate.csv
    """


@judge.command(cls=Command, groups=GROUPS, short_help="Say how far a judge agrees with people.")
@click.argument("path", metavar="TASK", type=TASK_FOLDER)
@_scored
@click.option("--again", type=click.IntRange(min=0), default=30, show_default=True, help="Answers to ask about twice.")
@JSON
def check(
    path: str,
    data: str | None,
    scores: str | None,
    answers: tuple[str, ...],
    config: str | None,
    overrides: tuple[str, ...],
    model: str | None,
    api_base: str | None,
    again: int,
    as_json: bool,
) -> None:
    """Say how far the judge of the task in the folder TASK agrees with people. Exit code 0: enough; 1: too little.

    People scored answers in a data file, or by feedback on the task's MLflow traces: from 0 to 1, or on the rubric's
    scale; columns and feedback that bear the criteria's names hold the scores of these. The result is kept in
    judge.json beside the task, where a run of it looks.

    \b
    Examples:
      metier judge check tasks/summary --scores rating --answer summary_of_today --config run.yaml
      metier judge check tasks/summary --data rated.csv --scores rating --model openai/gpt-4.1-mini
    """
    from optimizer.job.judge_check import check_judge
    from optimizer.job.judge_input import judge_config, read_scored
    from optimizer.job.judge_record import write_record
    from optimizer.task.load import find_task, load_task

    file = find_task(path)
    settings = judge_config(file, config, overrides, model, api_base)
    task = load_task(file)
    scored = read_scored(task, file, data, scores, answers)
    found = check_judge(settings, task, scored, again, lambda text: echo(text, err=True))
    kept = write_record(file.parent, found.record)
    if as_json:
        echo(
            json.dumps({**found.record.model_dump(), "refused": found.refused}, ensure_ascii=False, indent=2),
            whole=True,
        )
    else:
        echo(f"{found.text()}\nkept in {kept}")
    click.get_current_context().exit(1 if found.refused else 0)


@judge.command(cls=Command, groups=TUNE_GROUPS, short_help="Optimize the judge's own prompt.")
@click.argument("path", metavar="TASK", type=TASK_FOLDER)
@_scored
@click.option("--run-dir", metavar="DIR", type=RUN_FOLDER, help="Where the run's files go; a run in it goes on.")
@click.option("--out", metavar="FILE", help="The tuned prompt; default: judge/best.json in the task's folder.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
@JSON
def tune(
    path: str,
    data: str | None,
    scores: str | None,
    answers: tuple[str, ...],
    config: str | None,
    overrides: tuple[str, ...],
    model: str | None,
    api_base: str | None,
    run_dir: str | None,
    out: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Optimize the prompt by which the judge of TASK grades, against people's grades. Exit code 1: it did not help.

    It is a run like any other: grade an answer by one criterion as people did. Answers that the search does not see
    say whether the tuned judge agrees better with people. Only then its prompt is written, for the task's metric to
    name: {name: judge, prompt: judge/best.json, …}.

    \b
    Examples:
      metier judge tune tasks/summary --answer summary_of_today --config run.yaml --set budget.calls=600
      metier judge tune tasks/summary --data rated.csv --answer said --model local/qwen2.5-coder-1.5b
    """
    from optimizer.cli.live import make_watcher
    from optimizer.job.judge_input import judge_config, read_scored
    from optimizer.job.judge_tune import FILE, tune_judge
    from optimizer.task.load import find_task, load_task

    file = find_task(path)
    settings = judge_config(file, config, overrides, model, api_base)
    task = load_task(file)
    scored = read_scored(task, file, data, scores, answers)
    watcher = make_watcher(quiet or as_json)
    try:
        tuned = tune_judge(settings, task, scored, file.parent / FILE if out is None else Path(out), run_dir, watcher)
    finally:
        watcher.end()
    echo(json.dumps(tuned.to_json(), ensure_ascii=False, indent=2) if as_json else f"\n{tuned.text()}", whole=True)
    click.get_current_context().exit(1 if tuned.kept is None else 0)


@judge.command(
    cls=Command, groups={"The sample": ("--count", "--seed", "--out")}, short_help="Draw answers for people."
)
@RUN_DIR
@click.option("--count", type=click.IntRange(min=1), default=60, show_default=True, help="Test examples to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="By which they are drawn.")
@click.option("--out", metavar="FILE", required=True, help="The table to write, as CSV.")
def sample(run_dir: Path, count: int, seed: int, out: str) -> None:
    """Draw test answers of the run in RUN_DIR (default: the newest) for people to score.

    The table holds the seed's and the winner's answers in an order that does not tell which is whose. Fill in the
    column 'score', then ask `metier judge verdict`.

    \b
    Example:
      metier judge sample runs/mine --count 60 --out rate.csv
    """
    from optimizer.report.rated import write_sample

    answers = write_sample(run_dir, count, seed, Path(out))
    echo(f"{answers} answers to score, in {out}\nthen: metier judge verdict {run_dir} --scores {out}")


@judge.command(cls=Command, groups={"What people said": ("--scores", "--scale"), "Output": ("--json",)})
@RUN_DIR
@click.option("--scores", metavar="FILE", required=True, help="The table of `metier judge sample`, filled in.")
@click.option("--scale", type=float, nargs=2, default=(0.0, 1.0), show_default=True, help="The worst and best score.")
@JSON
def verdict(run_dir: Path, scores: str, scale: tuple[float, float], as_json: bool) -> None:
    """Say if the winner of the run in RUN_DIR (default: the newest) is better, by people's scores of a part.

    People's scores of some test examples and the metric's of all give an interval that is right whatever the metric's
    bias is, and shorter than people's scores alone give. The run's own verdict stays as it is.

    \b
    Example:
      metier judge verdict runs/mine --scores rate.csv --scale 1 5
    """
    from optimizer.report.rated import rated

    found = rated(run_dir, Path(scores), scale)
    echo(json.dumps(asdict(found), indent=2) if as_json else found.text())
