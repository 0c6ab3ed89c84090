"""Takes up a run where it was left: whose it is, what may have changed, and what a finished one said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex

from optimizer import __version__
from optimizer.config.load import apply_override
from optimizer.config.models import is_local
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError, LedgerError
from optimizer.ledger.answers import forget_failures
from optimizer.ledger.calls import begin_attempt
from optimizer.ledger.clock import catch_up
from optimizer.ledger.decisions import ACCEPT, EXTEND, put_decision
from optimizer.ledger.examples import put_examples
from optimizer.ledger.facts import SEED, SOURCES
from optimizer.ledger.identity import changes, check_changes, extends
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.models.environment import base_of, surroundings
from optimizer.search.ensembles import ensemble_size
from optimizer.search.schedule import is_quick, refuse_few
from optimizer.system.redact import HIDDEN, hide, hide_credentials, scrub
from optimizer.system.versions import versions
from optimizer.task.program import calls_each
from optimizer.task.sources import sources_of
from optimizer.task.task import Task
from optimizer.types import Candidate

# What decides how long a call is tried before it counts as failed.
PATIENCE = ("config.failures", "config.models.timeout")
EARLIER = "earlier_results"


@dataclass(frozen=True)
class Claim:
    """A run directory that is ours.

    `first_config` is the config with the limits that the run was begun with; an answer takes `calls_each` calls, and
    up to `together` prompts may answer as one. `seed` is the prompt to begin with, None: the task's own instruction.
    """

    run_id: str
    first_config: RunConfig
    calls_each: int
    together: int
    finished: bool
    notes: tuple[str, ...] = ()
    seed: Candidate | None = None


def claim_run(ledger: Ledger, config: RunConfig, task: Task, accept: bool, seed: Candidate | None = None) -> Claim:
    """Take the run directory for a config; `accept` changes that are harmless.

    `seed` is the prompt to begin with, if it is not the task's own instruction; one that was begun keeps its own.
    Raises LedgerError with the difference if it was begun with another config, task, prompt or package.
    """
    identity = ledger.meta("identity")
    if seed is None and (stored := ledger.meta(SEED)) is not None:
        with ledger.decoding(f"'{SEED}' in meta"):
            seed = Candidate.from_json(stored, "seed")
    wanted = _identity(config, task, seed)
    if identity is None:
        each = calls_each(task)
        refuse_few(config, each)
        race = "quick" if is_quick(config, len(task.validation), each) else "careful"
        limits = config.budget.model_dump(mode="json")
        shape = {"budget": limits, "trials": config.search.trials, "race": race, "calls_each": each}
        shape["together"] = ensemble_size(config, task)
        ledger.put_meta(SOURCES, sources_of(task))
        ledger.put_meta("shape", shape)
        ledger.put_meta("run_id", token_hex(4))
        ledger.put_meta("notify", config.notify.url_env)
        if seed is not None:
            ledger.put_meta(SEED, seed.to_json())
    else:
        changed = changes(identity, wanted)
        finished = ledger.meta("result") is not None
        extended = finished and accept and extends(changed)
        if not extended:
            check_changes(ledger.path.parent, changed, accept=accept, finished=finished)
        if changed:
            put_decision(ledger, EXTEND if extended else ACCEPT, {"changes": [asdict(change) for change in changed]})
        if extended:
            _reopen(ledger)
        if any(change.key.startswith(PATIENCE) for change in changed):
            forget_failures(ledger)  # they may be answered now
    if identity != wanted:
        ledger.put_meta("task_path", str(Path(config.task).resolve()))
        ledger.put_meta("planned", config.planned)
        ledger.put_meta("identity", wanted)
    return Claim(
        ledger.meta("run_id"),
        _first(config, ledger),
        ledger.meta("shape")["calls_each"],
        ledger.meta("shape")["together"],
        ledger.meta("result") is not None,
        tuple(map(_extended_note, ledger.meta(EARLIER) or ())),
        seed,
    )


def _reopen(ledger: Ledger) -> None:
    """Let a finished run go on; what it had found is kept as an earlier result."""
    result = ledger.meta("result")
    kept = {"verdict": result["verdict"], "winner": result["winner"]["candidate_id"], **result["difference"]}
    ledger.put_meta(EARLIER, [*(ledger.meta(EARLIER) or ()), kept])
    ledger.put_meta("result", None)


def _extended_note(earlier: Mapping[str, object]) -> str:
    return (
        f"This run was extended after its test: the verdict was {earlier['verdict']} ({earlier['mean']:+.3f}) for the "
        f"winner {earlier['winner']}. The test examples are the same: the interval does not allow for the first look."
    )


def begin(ledger: Ledger, task: Task, say: Callable[[str], None]) -> None:
    """Begin an attempt at a run: its examples are written down, and calls that a kill cut off are told."""
    catch_up(ledger)
    ledger.put_meta("stopped", None)
    if ledger.meta("examples") is None:
        put_examples(ledger, (*task.validation, *task.test))
    if lost := begin_attempt(ledger):
        say(f"{lost} calls were in flight when the run was cut off: they are made again.")


def hide_keys(config: RunConfig) -> None:
    """Keep a config's keys, and the passwords in its URLs, out of everything that is written."""
    hide(config.notify.url)
    hide(os.environ.get(config.notify.url_env or ""))
    hide_credentials(config.models.api_base)
    for model in config.models.by_key.values():
        hide_credentials(model.api_base)
        hide_credentials(base_of(model.model))
        hide(os.environ.get(model.api_key_env or ""))


def stored_config(run_dir: str | Path, overrides: Sequence[str] = (), *, asks: bool = True) -> RunConfig:
    """Return the config that a run was begun with, `key=value` overrides applied; `asks`: to ask its models with.

    Raises LedgerError where no run or no config lies, ConfigError where the config held a password that is needed.
    """
    with closing(Reader(Path(run_dir) / "ledger.db")) as ledger:
        identity, task, hook = ledger.meta("identity"), ledger.meta("task_path"), ledger.meta("notify")
    if identity is None:
        raise LedgerError(f"{run_dir}: the run stopped before it began", "Start it with `metier run CONFIG`.")
    if "models" not in (config := identity.get("config", {})):
        remedy = f"Go on with `metier run CONFIG --run-dir {run_dir}`."
        raise LedgerError(f"{run_dir}: its ledger does not hold the config that it was begun with", remedy)
    data = {**config, "task": task, "run_dir": str(run_dir), "notify": {"url_env": hook}}
    for override in overrides:
        data = apply_override(data, override)
    if not asks:
        data["models"] = json.loads(json.dumps(data["models"]).replace(f"://{HIDDEN}@", "://"))
    elif HIDDEN in str(data["models"]):
        remedy = f"Go on with `metier run CONFIG --run-dir {run_dir}`."
        raise ConfigError(f"{run_dir}: its config holds a password, which is not kept", remedy)
    return validate(RunConfig, data, str(run_dir), ConfigError)


def _identity(config: RunConfig, task: Task, seed: Candidate | None) -> dict[str, object]:
    """Return what makes a run this run; a run directory of another one is refused."""
    unsaid = {"task", "run_dir", "notify", *(() if config.privacy.redact else ("privacy",))}
    data = config.model_dump(mode="json", exclude=unsaid)
    packages = ["dspy", "optuna", "sentence-transformers"]
    if "phone" in config.privacy.redact:  # another version may know other numbers, and mask otherwise
        packages.append("phonenumbers")
    if any(is_local(model.model) for model in config.models.by_key.values()):
        packages.append("xllamacpp")
    identity = {
        "config": json.loads(scrub(json.dumps(data))),
        "task": task.facts,
        "package": {"metier": __version__, **versions(*packages)},
    }
    if seed is not None:
        identity["seed"] = seed.id
    if around := {name: scrub(value) for name, value in _surroundings(config).items()}:
        identity["environment"] = around
    return identity


def _surroundings(config: RunConfig) -> dict[str, str]:
    """Return the environment variables that decide where a run's models answer."""
    found: dict[str, str] = {}
    for model in config.models.by_key.values():
        if not is_local(model.model):
            found |= surroundings(model.model, model.api_base)
    return found


def _first(config: RunConfig, ledger: Ledger) -> RunConfig:
    """Return a config whose limits are those that the run was begun with.

    The race, its length, its first round, and whether the sampler weighs a candidate's cost follow from them: a limit
    that was raised, added or taken away since must not change what is replayed.
    """
    shape = ledger.meta("shape")
    budget = BudgetConfig(**shape["budget"])
    search = config.search.model_copy(update={"trials": shape["trials"], "race": shape["race"]})
    return config.model_copy(update={"budget": budget, "search": search})
