"""What a run is made of before anything is paid: its folder, its mirror's address, and the names of its data."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.job.watcher import Watcher
from optimizer.models.catalogue import CATALOGUE
from optimizer.models.embed import MODEL as EMBEDDER
from optimizer.models.providers import Endpoint
from optimizer.system.files import private_folder, reason_of
from optimizer.system.redact import scrub
from optimizer.task.task import Task
from optimizer.types import ModelKey, digest

if TYPE_CHECKING:
    from optimizer.job.folds import Pooled


@dataclass(frozen=True)
class Job:
    """What a run is made of before anything is paid; `endpoints` are of models that the caller holds in memory.

    `pooled` are the test answers of the folds, which a run of a task with folds has in the place of a test.
    """

    config: RunConfig
    task: Task
    run_dir: Path
    tracking_uri: str
    watcher: Watcher
    endpoints: Mapping[ModelKey, Endpoint]
    pooled: Pooled | None = None


def make_run_dir(config: RunConfig, task: Task) -> Path:
    """Return the run's folder, made if it is not there. Raises ConfigError if it cannot be."""
    folder = run_path(config, task)
    try:
        private_folder(folder)
    except (OSError, ValueError) as problem:
        remedy = "Give another --run-dir."
        raise ConfigError(f"run_dir {folder}: cannot be created ({reason_of(problem)})", remedy) from None
    return folder


def run_path(config: RunConfig, task: Task) -> Path:
    """Return where a run's folder is, or would be made: a new one each time where the config names none."""
    if config.run_dir is not None:
        return Path(config.run_dir)
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{stamp}-{task.name}-{secrets.token_hex(3)}"


def mlflow_uri(config: RunConfig, run_dir: Path) -> str:
    """Return MLflow's address, "" for none; a bad one is refused before anything is written."""
    where = config.tracking.mlflow
    if where is None:
        return ""
    from optimizer.track.address import checked, refuse_unmasked

    # One database for all runs of a folder, so that they can be compared. An earlier metier gave some runs their own.
    home = run_dir if (run_dir / "mlflow.db").is_file() else run_dir.parent
    uri = checked(where.uri or f"sqlite:///{home.resolve() / 'mlflow.db'}")
    refuse_unmasked(uri, config.privacy.redact, config.privacy.mlflow)
    return uri


def models_json(config: RunConfig, endpoints: Mapping[ModelKey, Endpoint]) -> dict[str, dict[str, object]]:
    """Return the models by role as the ledger keeps them: where each answers, and the files of those on this machine.

    `sha256` is that of the file that is served, which may be a re-encoded one; `published` has the digests of what the
    catalogue names.
    """
    models: dict[str, dict[str, object]] = {}
    for role, one in endpoints.items():
        chosen = config.models.by_key.get(role)
        name = one.model if chosen is None else chosen.model
        where = {"identity": scrub(one.identity), "address": scrub(one.address), "sha256": one.sha256}
        models[role] = _named(name) | {key: text for key, text in where.items() if text}
    return {**models, "embedder": _named(EMBEDDER)}


def _named(name: str) -> dict[str, object]:
    entry = CATALOGUE.get(name)
    if entry is None:
        return {"model": scrub(name)}
    return {"model": name, "licence": entry.licence, "published": {file.name: file.sha256 for file in entry.files}}


def splits_json(task: Task) -> list[dict[str, object]]:
    """Return the splits as MLflow is told of them; a digest changes with any example."""
    splits = {"train": task.train, "validation": task.validation, "test": task.test}
    return [
        {"name": task.name, "split": name, "digest": digest([e.id for e in split]), "examples": len(split)}
        for name, split in splits.items()
    ]
