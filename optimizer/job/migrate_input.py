"""What a migration is asked for: the prompt, the task whose examples decide, and a run's config for each new model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer.config.load import apply_override, load_config
from optimizer.config.models import ModelConfig
from optimizer.config.schema import Notify, RunConfig, Tracking
from optimizer.config.strict import validate
from optimizer.errors import ConfigError, LedgerError
from optimizer.job.eval import check_fits
from optimizer.job.load import REGISTERED, load_prompt, orders_of_task, refuse_orders
from optimizer.job.resume import hide_keys, stored_config
from optimizer.job.window import load_task_of
from optimizer.models.trust import beyond_its_own
from optimizer.prompt.saved import SavedPrompt
from optimizer.system.files import is_file, is_folder
from optimizer.system.redact import scrub
from optimizer.task.task import Task
from optimizer.track.address import is_server
from optimizer.types import digest, role_of

BEST, LEDGER = "best.json", "ledger.db"
# What of a model's settings says where that model answers, and means nothing to another.
ITS_OWN = ("model", "api_base", "api_key_env", "price")
SAID_ELSEWHERE = {
    "models.task": "--to",
    "models.task.model": "--to",
    "models.also": "--to",
    "task": "--task",
    "run_dir": "--out",
}


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the models to move `to`, how much worse they may be, and where everything is."""

    to: Sequence[str]
    margin: float
    task: str | None = None
    config: str | None = None
    overrides: Sequence[str] = ()
    out: str | None = None
    stored: str | None = None
    register: str | None = None
    trust: bool = False


@dataclass(frozen=True)
class Plan:
    """A migration before anything is asked: `configs` are the new models' runs, by the name of each one's folder.

    `old_run` is the run that the prompt lies in, if it lies in one.
    """

    source: str
    prompt: SavedPrompt
    task: Task
    folder: Path
    configs: Mapping[str, RunConfig]
    old_run: Path | None


def plan(source: str, wanted: Wanted) -> Plan:
    """Return what is to be done for a best.json, a run's folder or a registered prompt.

    The runs are configured as `--config` says, else as the run that the prompt lies in was, without what belongs to
    that one's models. Raises ConfigError, TaskError, LedgerError for whatever cannot be.
    """
    if not wanted.to:
        raise ConfigError("no model to move to is named", "Name one or more: --to MODEL")
    if wanted.margin <= 0:
        what = f"--margin {wanted.margin:g}: no number of examples shows that nothing at all is lost"
        raise ConfigError(what, "Give a loss that you could live with, such as 0.02.")
    file = str(Path(source) / BEST) if is_folder(source) else source
    if is_folder(source) and not is_file(file):
        raise LedgerError(f"{source}: no {BEST} lies here", "Give the folder of a finished run.")
    prompt = load_prompt(file, trust=wanted.trust)
    old_run = None if file.startswith(REGISTERED) or not is_file(Path(file).parent / LEDGER) else Path(file).parent
    base = _base(wanted, prompt, old_run)
    folder = Path(wanted.out) if wanted.out is not None else _folder(prompt, wanted, base)
    configs = _configs(base, wanted, folder)
    first = next(iter(configs.values()))
    if wanted.register is not None and first.tracking.mlflow is None:
        what = "--register: the runs are not written to MLflow (tracking.mlflow is null)"
        raise ConfigError(what, "Leave --register out, or: --set tracking.mlflow={}")
    for config in configs.values():
        hide_keys(config)
    task = load_task_of(first)
    prompt = prompt.run_by(task).masked_by(first.privacy)
    check_fits(task, prompt, source)
    if not task.test:
        raise ConfigError(f"{task.name}: the task has no test examples to decide by", "Give its split a share of test.")
    return Plan(source, prompt, task, folder, configs, old_run)


def _base(wanted: Wanted, prompt: SavedPrompt, old_run: Path | None) -> RunConfig:
    """Return the config of every run, with the settings of its task model, whatever that will be."""
    named = prompt.named
    settings: dict[str, object] = {"temperature": named.temperature, "stop": named.stop}
    if wanted.config is not None:
        config = load_config(wanted.config)
        settings = config.models.task.model_dump(exclude=set(ITS_OWN))
    elif old_run is not None:
        config = _of_run(old_run, wanted)
    elif wanted.task is not None:
        config = RunConfig(task=wanted.task)
    else:
        what = f"{prompt.doubts.source or 'the prompt'}: a saved prompt holds no examples, and this one lies in no run"
        raise ConfigError(what, "Name its task: --task FOLDER, or a run's config: --config run.yaml.")
    task = ModelConfig.model_validate({"model": named.model, **settings})
    # A run for each new model, and none in batches: how long a call takes is measured.
    models = config.models.model_copy(update={"task": task, "also": (), "batch": False})
    changes: dict[str, object] = {"models": models, "run_dir": None}
    if wanted.task is not None:
        changes["task"] = wanted.task
    if not config.privacy.redact:
        changes["privacy"] = prompt.privacy
    return config.model_copy(update=changes)


def _of_run(run_dir: Path, wanted: Wanted) -> RunConfig:
    """Return the config of the run that the prompt lies in; its endpoint is that of the models it asks besides only.

    Raises TaskError where the ledger, which may be anybody's, names an address, a key or code, and is not trusted.
    """
    try:
        config = stored_config(run_dir)
    except ConfigError as problem:
        raise ConfigError(problem.what, "Give the run's config: --config run.yaml.") from None
    besides = {key: model for key, model in config.models.by_key.items() if role_of(key) != "task"}
    orders = [text for model in besides.values() for text in beyond_its_own(model)]
    if config.tracking.mlflow is not None and is_server(config.tracking.mlflow.uri or ""):
        orders.append(f"the MLflow at {scrub(str(config.tracking.mlflow.uri))!r:.80}")
    if wanted.task is None:
        orders += orders_of_task(config.task)
    refuse_orders(run_dir, orders, wanted.trust, "the run's config, --config run.yaml, or the task, --task FOLDER")
    changes: dict[str, object] = {"api_base": None}
    models = config.models.model_copy(update={**changes, **besides})
    return config.model_copy(update={"models": models, "notify": Notify()})


def _configs(base: RunConfig, wanted: Wanted, folder: Path) -> dict[str, RunConfig]:
    """Return each new model's run by its folder's name; raises ConfigError for a model that is named twice."""
    own = None if wanted.config is None else load_config(wanted.config).models.task
    configs: dict[str, RunConfig] = {}
    for model in wanted.to:
        name = _folder_name(model)
        if name in configs:
            raise ConfigError(
                f"--to {model}: this model, or one of the same letters, is named twice", "Name each once."
            )
        # What the config says of where a model answers holds for that model alone.
        update = {"model": model} if own is None or own.model != model else own.model_dump(include=set(ITS_OWN))
        task = base.models.task.model_copy(update=update)
        config = base.model_copy(
            update={
                "models": base.models.model_copy(update={"task": task}),
                "run_dir": str(folder / name / "run"),
                "tracking": _tracking(base, folder),
            }
        )
        configs[name] = _overridden(config, wanted.overrides)
    return configs


def _overridden(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    data = config.model_dump(mode="json")
    for override in overrides:
        if (key := override.partition("=")[0].strip()) in SAID_ELSEWHERE:
            raise ConfigError(f"--set {override}: {key} is what {SAID_ELSEWHERE[key]} says", "Say it there.")
        data = apply_override(data, override)
    return validate(RunConfig, data, "metier migrate with --set", ConfigError)


def _tracking(base: RunConfig, folder: Path) -> Tracking:
    """Return where the runs are mirrored: one database beside the folder, so that they and others can be compared."""
    mlflow = base.tracking.mlflow
    if mlflow is None or mlflow.uri is not None:
        return base.tracking
    uri = f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
    return base.tracking.model_copy(update={"mlflow": mlflow.model_copy(update={"uri": uri})})


def _folder_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def _folder(prompt: SavedPrompt, wanted: Wanted, base: RunConfig) -> Path:
    """Return the folder that the same command always has, so that it goes on with what a kill has cut off."""
    task = Path(base.task).resolve()
    what = [prompt.candidate.to_json(), str(task), base.model_dump(mode="json"), list(wanted.overrides)]
    name = task.parent.name if task.suffix else task.name
    return Path("runs") / f"migrate-{_folder_name(name)}-{digest(what, 6)}"
