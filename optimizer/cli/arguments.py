"""Arguments and options that several commands take, and what the shell completes them to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from optimizer.cli.text import echo
from optimizer.errors import ConfigError

RUNS = Path("runs")
SPLITS = click.Choice(["train", "validation", "test"])


class Completed(click.types.StringParamType):
    """A text that the shell completes to one of `choices()`, or to a path where none of them fits."""

    def __init__(self, choices: Callable[[], Iterable[str]]) -> None:
        self.choices = choices

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the choices that begin so, or a request for the shell's own paths."""
        fitting = [CompletionItem(choice) for choice in self.choices() if choice.startswith(incomplete)]
        return fitting or [CompletionItem(incomplete, type="file")]


def run_folders() -> list[str]:
    """Return the folders of the runs below ./runs, the newest first: by when their ledgers were last written."""
    return [str(ledger.parent) for ledger in sorted(RUNS.glob("*/ledger.db"), key=_written, reverse=True)]


def _written(ledger: Path) -> float:
    log = ledger.with_name(f"{ledger.name}-wal")
    return max(file.stat().st_mtime for file in (ledger, log) if file.exists())


def _newest_run(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Return the folder that was named, or the newest run's and say which; raises ConfigError where there is none."""
    if value is not None:
        return Path(value)
    if ctx.resilient_parsing:
        return None
    folders = run_folders()
    if not folders:
        raise ConfigError("no run below ./runs", f"Name the run's folder: {ctx.command_path} RUN_DIR")
    echo(f"The newest run: {folders[0]}", err=True, whole=True)
    return Path(folders[0])


def _newest_run_if_any(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Return the same, but None where there is no run: its database may still be there."""
    return _newest_run(ctx, param, value) if value is not None or run_folders() else None


def _local_models() -> Iterable[str]:
    from optimizer.models.catalogue import CATALOGUE

    return CATALOGUE


def _task_folders() -> list[str]:
    return sorted(str(file.parent) for file in Path("tasks").glob("*/task.yaml"))


def _configs() -> list[str]:
    return sorted(str(file) for folder in (".", "configs") for file in Path(folder).glob("*.yaml"))


TASK_FOLDER = Completed(_task_folders)
RUN_FOLDER = Completed(run_folders)
MODEL_NAME = Completed(_local_models)

_run_argument = partial(click.argument, "run_dir", metavar="[RUN_DIR]", required=False, type=RUN_FOLDER)
RUN_DIR, RUN_DIR_IF_ANY = _run_argument(callback=_newest_run), _run_argument(callback=_newest_run_if_any)
CONFIG = click.argument("config", metavar="CONFIG", type=Completed(_configs))
SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


TRUST = click.option(
    "--trust", is_flag=True, help="Use the address, key and code that the file names: you have read it."
)


def scored_with(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say on what a prompt is scored, and by which model."""
    split = click.option("--split", type=SPLITS, default="test", show_default=True, help="Score it on these examples.")
    model = click.option("--model", metavar="NAME", help="Another model than the one the prompt was optimized for.")
    address = click.option("--api-base", metavar="URL", help="The endpoint of --model.")
    judge = click.option("--judge", metavar="NAME", help="The model that grades, where the task's metric is judge.")
    return split(model(address(judge(command))))
