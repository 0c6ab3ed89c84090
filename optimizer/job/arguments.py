"""What `metier.optimize` is called with, as a config, a task, and models: every wrong use ends here, in one message."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, get_args

from optimizer.config.load import load_config
from optimizer.config.models import ModelConfig
from optimizer.config.schema import RunConfig
from optimizer.config.strict import Strict, validate
from optimizer.errors import ConfigError, did_you_mean
from optimizer.job.window import load_task_of
from optimizer.models.dspy_lm import lm_config, lm_endpoint
from optimizer.models.function import BYTES_PER_TOKEN, caller_endpoint
from optimizer.models.providers import CALLABLE, Endpoint
from optimizer.system.files import exists, is_file
from optimizer.system.limits import shorten
from optimizer.system.source import name_of
from optimizer.task.load import find_task
from optimizer.task.task import Task
from optimizer.types import ModelKey, Role

if TYPE_CHECKING:
    import dspy

    from optimizer.models.function import Ask

SOURCE = "optimize"
TASK_OPTIONS = ("name", "description", "split", "fields", "program")
ROLES: tuple[Role, ...] = get_args(Role)
SECTIONS = tuple(name for name in RunConfig.model_fields if name not in ("task", "budget"))
DATA_FILES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")

_START = "Call optimize(examples=…, inputs=…, outputs=…, instruction=…), optimize(task), or optimize('run.yaml')."
_MODELS = "Give a name such as 'openai/gpt-4.1-mini', a dspy.LM, or a function messages -> text."


@dataclass(frozen=True)
class Arguments:
    """A run as it was asked for; `task`, and the models behind `endpoints`, are what the caller holds in memory."""

    config: RunConfig
    task: Task | None = None
    endpoints: Mapping[ModelKey, Endpoint] = field(default_factory=dict)


def read_arguments(
    job: object, described: Mapping[str, object], model: object, budget: object, options: Mapping[str, object]
) -> Arguments:
    """Return what is to run. `described` are a task's arguments, `options` the other sections of a run's YAML.

    Raises ConfigError and TaskError.
    """
    known = [*described, "model", "budget", *TASK_OPTIONS, *SECTIONS, "progress", "watcher", "wait", "accept_changes"]
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(f"{SOURCE}: unknown option '{unknown[0]}'", did_you_mean(unknown[0], known))
    description = {name: options[name] for name in TASK_OPTIONS if name in options}
    description |= {name: value for name, value in described.items() if value is not None}
    task, data = _task(description) if job is None else _job(job, description)
    sections = {name: _plain(options[name]) for name in SECTIONS if name in options}
    if budget is not None:
        sections["budget"] = _budget(budget)
    models, own = _models(sections.pop("models", {}), model)
    config = validate(RunConfig, _merged(data, {**sections, "models": models}), SOURCE, ConfigError)
    endpoints: dict[ModelKey, Endpoint] = {role: _endpoint(one, config) for role, one in own.items()}
    if any(config.models.by_key[role].model.startswith(f"{CALLABLE}/") for role in endpoints):
        task = load_task_of(config) if task is None else task
        note = f"a Python function reports no tokens: they are estimated, at {BYTES_PER_TOKEN} bytes a token"
        task = task.changed(notes=(*task.notes, note))
    return Arguments(config, task, endpoints)


def _task(description: Mapping[str, object]) -> tuple[Task, dict[str, object]]:
    if "examples" not in description:
        raise ConfigError(f"{SOURCE}: there are no examples, and no task or config that names some", _START)
    make: Callable[..., Task] = Task
    task = make(**description)
    return task, {"task": task.name}


def _job(job: object, description: Mapping[str, object]) -> tuple[Task | None, dict[str, object]]:
    """Return the task, where it is held in memory, and the config as data."""
    if description:
        kind = "a config" if isinstance(job, RunConfig) else "a task or a config"
        what = f"{SOURCE}: {kind} and {next(iter(description))} are both given"
        raise ConfigError(what, "Leave one of them out: a task has its examples, fields and metric already.")
    if isinstance(job, Task):
        return job, {"task": job.name}
    if isinstance(job, RunConfig):
        return None, job.model_dump()
    if not isinstance(job, (str, os.PathLike)):
        what = f"{SOURCE}: the job is {shorten(job)}, of type {type(job).__name__}"
        raise ConfigError(what, f"Give a Task, a RunConfig or a path; examples are given as examples=. {_START}")
    return None, _from_path(Path(job))


def _from_path(path: Path) -> dict[str, object]:
    """Return the config in a run's YAML file, or one that names a task."""
    if is_file(path / "ledger.db"):
        remedy = f"Go on with `metier resume {path}`, or give what it was begun with and run_dir={str(path)!r}."
        raise ConfigError(f"{SOURCE}: {path} is the folder of a run", remedy)
    if path.suffix in DATA_FILES:
        raise ConfigError(f"{SOURCE}: {path} is a file of examples", f"Give it as examples={str(path)!r}.")
    # A bare name is that of a task under ./tasks.
    return load_config(path).model_dump() if exists(path) else {"task": str(find_task(path))}


def _budget(budget: object) -> object:
    """Return the section `budget`; a number is one of calls."""
    if isinstance(budget, int) and not isinstance(budget, bool):
        return {"calls": budget}
    if isinstance(budget, (Mapping, Strict)):
        return _plain(budget)
    what = f"budget is {shorten(budget)}, of type {type(budget).__name__}"
    raise ConfigError(what, "Give a number of calls, or a dict such as {'calls': 300, 'usd': 2.0}.")


def _models(section: object, model: object) -> tuple[dict[str, object], dict[Role, dspy.LM | Ask]]:
    """Return the section `models` with a name for each model, and those that are objects of the caller's."""
    if not isinstance(section, Mapping):
        raise ConfigError(f"models is {shorten(section)}, of type {type(section).__name__}", "Give a dict of models.")
    if model is not None and "task" in section:
        raise ConfigError(f"{SOURCE}: model and models['task'] are both given", "Leave one of them out.")
    named = dict(section) if model is None else {**section, "task": model}
    own: dict[Role, dspy.LM | Ask] = {}
    for role in ROLES:
        one = named.get(role)
        if one is None or _is_named(one):
            named |= {role: _plain(one)} if isinstance(one, ModelConfig) else {}
        elif role == "task" and isinstance(one, (list, tuple)) and all(map(_is_named, one)):
            named[role] = [_plain(each) for each in one]
        elif _is_lm(one):
            own[role], named[role] = one, lm_config(one)
        elif _is_function(one):
            own[role], named[role] = one, {"model": f"{CALLABLE}/{name_of(one)}"}
        else:
            what = "model" if role == "task" else f"models['{role}']"
            raise ConfigError(f"{what} is {shorten(one)}, of type {type(one).__name__}", _MODELS)
    return named, own


def _is_named(one: object) -> bool:
    return isinstance(one, (str, Mapping, ModelConfig))


def _is_lm(one: object) -> TypeGuard[dspy.LM]:
    import dspy

    return isinstance(one, dspy.LM)


def _is_function(one: object) -> TypeGuard[Ask]:
    import dspy

    return callable(one) and not isinstance(one, (type, dspy.BaseLM, dspy.Module))


def _endpoint(one: dspy.LM | Ask, config: RunConfig) -> Endpoint:
    return lm_endpoint(one, config.models) if _is_lm(one) else caller_endpoint(one, config.models)


def _merged(data: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Return data with changes, of a mapping its keys; a model is changed as a whole."""
    merged = dict(data)
    for name, value in changes.items():
        before = merged.get(name)
        plain = not (isinstance(before, Mapping) and isinstance(value, Mapping))
        whole = plain or name in ("task", "prompt") or "model" in value  # type: ignore[operator]
        merged[name] = value if whole else _merged(before, value)  # type: ignore[arg-type]
    return merged


def _plain(section: object) -> object:
    return section.model_dump() if isinstance(section, Strict) else section
