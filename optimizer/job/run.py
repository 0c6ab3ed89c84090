"""One run, from its config to its report: whose folder it is, whether it goes on, who is told of its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from optimizer.config.load import load_config
from optimizer.config.schema import RunConfig
from optimizer.door.budget import refuse_past
from optimizer.errors import Interrupted, LedgerError, MetierError
from optimizer.job.finish import finished_report
from optimizer.job.folder import Job, make_run_dir, mlflow_uri
from optimizer.job.folds import run_folds, share_of_budget
from optimizer.job.judge_record import agreement_note
from optimizer.job.mirror import catch_up
from optimizer.job.notify import finished, notify, stopped
from optimizer.job.refusals import refuse_unfit
from optimizer.job.resume import Claim, claim_run, hide_keys
from optimizer.job.watcher import Logged, Watcher
from optimizer.job.window import load_task_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report
from optimizer.models.providers import Endpoint
from optimizer.system.internal import internal_errors
from optimizer.system.redact import scrub
from optimizer.task.task import Task
from optimizer.types import Candidate, ModelKey


def run_config(
    config: RunConfig | str | Path,
    watcher: Watcher | None = None,
    *,
    task: Task | None = None,
    endpoints: Mapping[ModelKey, Endpoint] = MappingProxyType({}),
    wait: bool = False,
    accept_changes: bool = False,
    seed: Candidate | None = None,
) -> Report:
    """Optimize a task's prompt and return the report; its files lie in the run's folder.

    A run directory that was begun before goes on; a finished one is read. `task`, and the models behind `endpoints`,
    may be held in memory instead of being named in the config. `wait` for another process that is working on the run;
    `accept_changes` that are harmless. `seed` is a prompt to begin with in the place of the task's own instruction; a
    run that goes on keeps the one that it was begun with. Raises MetierError: ConfigError, TaskError, ModelError,
    LedgerError, StoppedByFailures, Interrupted, InternalError.
    """
    config = config if isinstance(config, RunConfig) else load_config(config)
    watcher = watcher or Watcher()
    job = _job(config, Logged(watcher), task, endpoints)

    def run_fold(fold: Job, first: Candidate | None) -> Report:
        going_on = {"wait": wait, "accept_changes": accept_changes}
        return run_config(fold.config, watcher, task=fold.task, endpoints=fold.endpoints, seed=first, **going_on)

    with closing(Ledger(job.run_dir / "ledger.db", wait=wait)) as ledger:
        claim = claim_run(ledger, config, job.task, accept_changes, seed)
        if claim.finished:
            catch_up(ledger, job.watcher.warn)
            return finished_report(ledger)
        if note := agreement_note(config, job.task):
            job = replace(job, task=job.task.changed(notes=(*job.task.notes, note)))
        try:
            with internal_errors(job.run_dir, _go_on(job)):
                if job.task.folds:
                    job, claim = _with_folds(job, claim, run_fold)
                result = _run_to_end(job, ledger, claim)
        except MetierError as problem:
            _keep_why(ledger, problem)
            notify(config.notify, stopped(job.task.name, job.run_dir, problem), job.watcher.warn)
            raise
        notify(config.notify, finished(result), job.watcher.warn)
        return result


def _job(config: RunConfig, watcher: Watcher, task: Task | None, endpoints: Mapping[ModelKey, Endpoint]) -> Job:
    task = load_task_of(config) if task is None else task
    refuse_unfit(config, task, endpoints)
    if task.folds:
        share_of_budget(config, len(task.folds) + 1)
    run_dir = make_run_dir(config, task)
    if not (run_dir / "ledger.db").exists():  # a run that was begun may be resumed after its time
        refuse_past(config.budget, time.time())
    hide_keys(config)
    return Job(config, task, run_dir, mlflow_uri(config, run_dir), watcher, endpoints)


def _with_folds(job: Job, claim: Claim, run_fold: Callable[[Job, Candidate | None], Report]) -> tuple[Job, Claim]:
    """Run the folds of a job; what is left is its search on all data, with its share of the budget."""
    runs = len(job.task.folds) + 1
    job = replace(job, config=share_of_budget(job.config, runs))
    job = replace(job, pooled=run_folds(job, lambda fold: run_fold(fold, claim.seed)))
    return job, replace(claim, first_config=share_of_budget(claim.first_config, runs))


def _run_to_end(job: Job, ledger: Ledger, claim: Claim) -> Report:
    from optimizer.job.stages import run_stages  # it imports all rooms, which takes seconds

    try:
        return asyncio.run(run_stages(job, ledger, claim))
    except asyncio.CancelledError:
        raise Interrupted("interrupted", _go_on(job)) from None


def _keep_why(ledger: Ledger, problem: MetierError) -> None:
    """Write down why the run stopped, for `metier status` and the report."""
    why = problem.what if isinstance(problem, Interrupted) else str(problem)
    with suppress(LedgerError):
        ledger.put_meta("stopped", {"at": time.time(), "why": scrub(why)})


def _go_on(job: Job) -> str:
    return f"Go on with `metier resume {job.run_dir}`: nothing paid is lost."
