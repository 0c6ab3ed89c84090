"""Takes up a run where it was left: whose it is, what may have changed, and what a finished one said."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from optimizer import __version__
from optimizer.config.load import apply_override
from optimizer.config.schema import BudgetConfig, RunConfig, is_local
from optimizer.config.strict import validate
from optimizer.errors import ConfigError, LedgerError
from optimizer.ledger.identity import changes, check_changes, versions
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.records import all_trials, forget_failures
from optimizer.report.result import Report, write_result
from optimizer.search.schedule import is_quick, refuse_few
from optimizer.system.redact import HIDDEN, hide, hide_credentials, scrub
from optimizer.task.program import calls_each
from optimizer.task.task import Task
from optimizer.types import Candidate

# What decides how long a call is tried before it counts as failed.
PATIENCE = ("config.failures", "config.models.timeout")


@dataclass(frozen=True)
class Claim:
    """A run directory that is ours; `shape` is the config with its first limits, an answer takes `calls_each` calls."""

    run_id: str
    shape: RunConfig
    calls_each: int
    finished: bool


def claim_run(ledger: Ledger, config: RunConfig, task: Task, accept: bool) -> Claim:
    """Take the run directory for a config; `accept` changes that are harmless.

    Raises LedgerError with the difference if it was begun with another config, task or package.
    """
    wanted = _identity(config, task)
    found = ledger.meta("identity")
    finished = ledger.meta("result") is not None
    if found is None:
        each = calls_each(task)
        refuse_few(config, each)
        race = "quick" if is_quick(config, len(task.validation), each) else "careful"
        limits = config.budget.model_dump(mode="json")
        shape = {"budget": limits, "trials": config.search.trials, "race": race, "calls_each": each}
        ledger.put_meta("shape", shape)
        ledger.put_meta("run_id", token_hex(4))
        ledger.put_meta("notify", config.notify.url_env)
    else:
        changed = changes(found, wanted)
        check_changes(ledger.path.parent, changed, accept=accept, finished=finished)
        if any(change.key.startswith(PATIENCE) for change in changed):
            forget_failures(ledger)  # they may be answered now
    if found != wanted:
        ledger.put_meta("task_path", str(Path(config.task).resolve()))
        ledger.put_meta("planned", config.planned)
        ledger.put_meta("identity", wanted)
    shape = ledger.meta("shape")
    return Claim(ledger.meta("run_id"), _shaped(config, shape), shape["calls_each"], finished)


def finished_report(ledger: Ledger, run_dir: Path) -> Report:
    """Return the report of a run that is finished, from the ledger alone."""
    seed = all_trials(ledger)[0]
    candidate = Candidate.from_json(json.loads(seed["prompts"]), seed["origin"])
    report = Report.from_json(ledger.meta("result"), candidate, run_dir)
    write_result(report)
    return report


def hide_keys(config: RunConfig) -> None:
    """Keep a config's keys, and the passwords in its URLs, out of everything that is written."""
    hide(config.notify.url)
    hide(os.environ.get(config.notify.url_env or ""))
    hide_credentials(config.models.api_base)
    for model in config.models.by_role.values():
        hide_credentials(model.api_base)
        hide(os.environ.get(model.api_key_env or ""))


def stored_config(run_dir: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the config that a run was begun with, `key=value` overrides applied.

    Raises LedgerError where no run lies, ConfigError where the config held a password.
    """
    with closing(Reader(Path(run_dir) / "ledger.db")) as ledger:
        identity, task, hook = ledger.meta("identity"), ledger.meta("task_path"), ledger.meta("notify")
    if identity is None:
        raise LedgerError(f"{run_dir}: the run stopped before it began", "Start it with `metier run CONFIG`.")
    data = {**identity["config"], "task": task, "run_dir": str(run_dir), "notify": {"url_env": hook}}
    for override in overrides:
        data = apply_override(data, override)
    if HIDDEN in str(data["models"]):
        remedy = f"Go on with `metier run CONFIG --run-dir {run_dir}`."
        raise ConfigError(f"{run_dir}: its config holds a password, which is not kept", remedy)
    return validate(RunConfig, data, str(run_dir), ConfigError)


def _identity(config: RunConfig, task: Task) -> dict[str, Any]:
    """Return what makes a run this run; a run directory of another one is refused."""
    data = config.model_dump(mode="json", exclude={"task", "run_dir", "notify"})
    packages = ["dspy", "optuna", "sentence-transformers"]
    if any(is_local(model.model) for model in config.models.by_role.values()):
        packages.append("xllamacpp")
    return {
        "config": json.loads(scrub(json.dumps(data))),
        "task": task.facts,
        "package": {"metier": __version__, **versions(*packages)},
    }


def _shaped(config: RunConfig, shape: Mapping[str, Any]) -> RunConfig:
    """Return a config whose limits are those that the run was begun with.

    The race, its length, its first round, and whether the sampler weighs a candidate's cost follow from them: a limit
    that was raised, added or taken away since must not change what is replayed.
    """
    budget = BudgetConfig(**shape["budget"])
    search = config.search.model_copy(update={"trials": shape["trials"], "race": shape["race"]})
    return config.model_copy(update={"budget": budget, "search": search})
