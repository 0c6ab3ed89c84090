"""`metier migrate`: whether a prompt may move to other models."""

from __future__ import annotations

import json

import click

from optimizer.cli.arguments import JSON, RUN_FOLDER, SET, TASK_FOLDER, TRUST
from optimizer.cli.help import Command
from optimizer.cli.text import echo

GROUPS = {
    "Where to": ("--to", "--margin"),
    "By which examples and search": ("--task", "--config", "--set", "--stored", "--trust"),
    "Output": ("--out", "--register", "--quiet", "--json"),
}


@click.command(cls=Command, groups=GROUPS, short_help="Tell to which models a prompt may move.")
@click.argument("prompt", metavar="PROMPT", type=RUN_FOLDER)
@click.argument("more", metavar="[MODEL]…", nargs=-1)
@click.option("--to", metavar="MODEL", multiple=True, required=True, help="A model to move to; may be repeated.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.02,
    show_default=True,
    help="The loss that a move must stay below; choose it before you look.",
)
@click.option("--task", metavar="FOLDER", type=TASK_FOLDER, help="The task; a run and a config name their own.")
@click.option("--config", metavar="FILE", type=click.Path(), help="The run's YAML; default: as the prompt's own run.")
@SET
@click.option("--stored", metavar="RUN_DIR", type=RUN_FOLDER, help="The run whose answers serve as today's.")
@TRUST
@click.option("--out", metavar="FOLDER", type=click.Path(), help="Where all files go; the same one goes on.")
@click.option("--register", metavar="NAME", help="Let champion mean the prompt in MLflow, under NAME-MODEL.")
@click.option("--quiet", is_flag=True, help="Print the result only, and on standard error what runs had to do without.")
@JSON
def migrate(
    prompt: str,
    more: tuple[str, ...],
    to: tuple[str, ...],
    margin: float,
    task: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    stored: str | None,
    trust: bool,
    out: str | None,
    register: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Tell to which models PROMPT may move: as it is, after tuning, or not.

    PROMPT is a run's folder, its best.json, or a registered prompt (prompts:/NAME@ALIAS). On each model a run begins
    with it; then the prompt as it is, prompts that need no search, and the tuned one are compared with today's prompt
    on today's model, on test examples that no search has seen. The answers that the prompt's own run stored serve as
    today's, where it has them. The run's budget holds for each model. Give the same command again, and what was cut off
    goes on.

    Exit code 0: a model can be moved to; 1: none is to be; 2: that cannot be told.

    \b
    Examples:
      metier migrate runs/mine --to openai/gpt-4.1-mini
      metier migrate runs/mine/best.json --to openai/gpt-4.1-mini anthropic/claude-haiku-4-5 --margin 0.03
      metier migrate runs/mine --to openai/gpt-4.1-mini --set budget.usd=2 --register support_intent
    """
    from optimizer.cli.live import make_watcher
    from optimizer.job.migrate import exit_code
    from optimizer.job.migrate import migrate as run_migration
    from optimizer.job.migrate_input import Wanted
    from optimizer.report.migration import summary

    wanted = Wanted((*to, *more), margin, task, config, overrides, out, stored, register, trust)
    migration = run_migration(prompt, wanted, lambda: make_watcher(quiet or as_json))
    if as_json:
        echo(json.dumps(migration.to_json(), ensure_ascii=False, indent=2), whole=True)
    else:
        for line in ["", *summary(migration)]:
            # A table's row stays one; what is said is wrapped at words.
            echo(line, whole=line.startswith("  ") and not line.startswith("  note"))
    click.get_current_context().exit(exit_code(migration))
