"""From a run to an alias in the prompt registry, and from an alias to the prompt."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.errors import ConfigError, StoppedByFailures, TaskError
from optimizer.track.address import checked
from optimizer.track.connect import connect, make_client, why
from optimizer.track.job import read_result
from optimizer.track.registry import FILE, aliases, point, register, registry_name
from optimizer.track.ui import tracking_uri as uri_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import PromptVersion

ADDRESS = re.compile(r"prompts:/(?P<name>[\w.-]+)(@(?P<alias>[\w.-]+)|/(?P<version>\d+))?")
ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z][\w.-]*", re.IGNORECASE)
FORM = "Write it as prompts:/NAME@ALIAS or prompts:/NAME/VERSION."


def promote(run_dir: Path, alias: str) -> str:
    """Let an alias mean a run's winner, registered first if it is not; returns what was done, in one line.

    Raises ConfigError (a bad alias, no finished run, a run that is not in MLflow), StoppedByFailures (an outage).
    """
    if not ALIAS.fullmatch(alias):
        raise ConfigError(f"'{alias}' cannot be an alias", "Take a word such as champion; latest and v1 are MLflow's.")
    outcome, file = read_result(run_dir), run_dir / "best.json"
    if outcome is None or not file.exists():
        raise ConfigError(f"{run_dir}: no finished run here", "Give the folder of a run that has a best.json.")
    place = outcome.get("mlflow")
    if place is None or place["run_id"] is None:
        raise ConfigError(f"{run_dir}: this run is not in MLflow", f"Write it there: metier track sync {run_dir}")
    best: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    try:
        client, _ = connect(place["tracking_uri"], "metier")
        experiment = client.get_run(place["run_id"]).info.experiment_id
        version = register(client, best, place["run_id"], experiment)
        before = _held_by(client, best["task"], alias)
        known = aliases(client, best["task"]) if before is None else []
        point(client, best["task"], alias, version)
    except Exception as problem:  # noqa: BLE001 - the boundary to MLflow, which raises what its drivers raise
        raise _unreached(place["tracking_uri"], problem) from None
    was = "" if before in (None, version) else f", was version {before}"
    if known:  # it may be mistyped
        was = f", a new alias beside {' and '.join(known)}"
    doubt = "" if outcome["verdict"] == "improved" else f" (its verdict is {outcome['verdict']})"
    return (
        f"prompts:/{registry_name(best['task'])}@{alias} is version {version}{was}{doubt}, at {place['tracking_uri']}"
    )


def fetch(address: str, tracking_uri: str | None = None) -> str:
    """Return the text of the best.json behind `prompts:/NAME@ALIAS`, `/VERSION`, or the latest without either.

    Raises TaskError if there is none, or it was not registered by metier; StoppedByFailures (an outage).
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise TaskError(f"'{address}' names no registered prompt", FORM)
    uri = checked(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or uri_of(None))
    from mlflow.exceptions import MlflowException

    try:
        client = make_client(uri)
        version = _version(client, **found.groupdict())
        if version is None:
            raise TaskError(f"{address}: not in the registry of {uri}", FORM)
        source = version.tags.get(FILE, "")
        if not source.startswith("runs:/"):
            raise TaskError(f"{address}: not registered by metier", "Register one with `metier promote RUN_DIR`.")
        run, _, path = source.removeprefix("runs:/").partition("/")
        with tempfile.TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run, path, folder)).read_text(encoding="utf-8")
    except (MlflowException, OSError) as problem:
        raise _unreached(uri, problem) from None


def _version(client: Any, name: str, alias: str | None, version: str | None) -> PromptVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        if alias is not None:
            found: PromptVersion | None = client.get_prompt_version_by_alias(name, alias)
        elif version is not None:
            found = client.get_prompt_version(name, version)
        else:
            found = next(iter(client.search_prompt_versions(name, max_results=1)), None)
    except MlflowException as problem:
        if problem.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return found


def _held_by(client: Any, task: str, alias: str) -> int | None:
    found = _version(client, registry_name(task), alias, None)
    return None if found is None else int(found.version)


def _unreached(uri: str, problem: BaseException) -> StoppedByFailures:
    return StoppedByFailures(f"MLflow at {uri} did not do it ({why(problem)})", "Run this again once it can.")
