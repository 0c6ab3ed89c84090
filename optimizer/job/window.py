"""Which traces a run's task has: those that its run read before, or those after the last run's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from optimizer.config.schema import RunConfig
from optimizer.errors import LedgerError
from optimizer.ledger.facts import SOURCES
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import is_finished
from optimizer.system.files import is_file
from optimizer.task.load import load_task, load_task_file
from optimizer.task.schema import LAST_RUN
from optimizer.task.task import Task
from optimizer.task.traces import FACTS, Window

RUNS = Path("runs")


def load_task_of(config: RunConfig, *, scored: bool = True) -> Task:
    """Return the task of a run: a run that was begun sees the traces that were there when it began.

    Where the task says `since: last run`, a new run has those after the newest one of the last finished run of the
    same task, in the folder where the run's own lies. Raises TaskError, as `load_task` does.
    """
    written, _ = load_task_file(config.task)
    if written.data.mlflow is None:
        return load_task(config.task, scored=scored)
    folder = None if config.run_dir is None else Path(config.run_dir)
    begun = None if folder is None else _noted(folder)
    if begun is not None:
        window = Window(since=begun["since"], as_of=begun["as_of"])
    elif written.data.mlflow.since == LAST_RUN:
        window = Window(since=_newest(RUNS if folder is None else folder.parent, config.task))
    else:
        window = Window()
    return load_task(config.task, scored=scored, window=window)


def _newest(runs: Path, task: str) -> str | None:
    """Return the time of the newest trace that any finished run of a task has read; None where there is no such run."""
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    noted = (_noted(folder, str(Path(task).resolve())) for folder in folders)
    return max((traces["newest"] or "" for traces in noted if traces is not None), default=None)


def _noted(folder: Path, finished: str | None = None) -> Mapping[str, str | None] | None:
    """Return what a run noted of its traces; only of a finished run of a task where its path is named."""
    if not is_file(folder / "ledger.db"):
        return None
    with suppress(LedgerError), closing(Reader(folder / "ledger.db")) as ledger:
        if finished is None or (ledger.meta("task_path") == finished and is_finished(ledger)):
            traces: Mapping[str, str | None] | None = (ledger.meta(SOURCES) or {}).get(FACTS)
            return traces
    return None
