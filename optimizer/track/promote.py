"""From a run to an alias in the prompt registry, and from an alias to the prompt."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from optimizer.errors import ConfigError, StoppedByFailures, TaskError
from optimizer.ledger.decisions import PROMOTE, UNDONE, record_decision, refuse_unwritable
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, best_of_run, result_of
from optimizer.system.files import is_file
from optimizer.system.mlflow_client import make_client, why
from optimizer.track.address import checked
from optimizer.track.registry import CHAMPION, FILE, aliases, point, register, registry_name
from optimizer.track.ui import tracking_uri as uri_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import PromptVersion

ADDRESS = re.compile(r"prompts:/(?P<name>[\w.-]+)(@(?P<alias>[\w.-]+)|/(?P<version>\d+))?")
ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z][\w.-]*", re.IGNORECASE)
# Where a registry keeps files: folders and the clouds' stores, by their own credentials; servers, by MLflow's own.
STORES = ("", "file", "s3", "gs", "wasbs", "abfss", "dbfs")
SERVERS = ("http", "https", "mlflow-artifacts")
REGISTER = "Register one with `metier promote RUN_DIR`."
FORM = "Write it as prompts:/NAME@ALIAS or prompts:/NAME/VERSION."


def promote(run_dir: Path, alias: str) -> str:
    """Let an alias mean a run's winner, registered first if it is not; returns what was done, in one line.

    The run's ledger keeps who decided it, before the alias moves. Raises ConfigError (a bad alias, no finished run, a
    run that is not in MLflow), LedgerError (one that cannot be written), StoppedByFailures (an outage).
    """
    if not ALIAS.fullmatch(alias):
        raise ConfigError(f"'{alias}' cannot be an alias", "Take a word such as champion; latest and v1 are MLflow's.")
    if not is_file(run_dir / "ledger.db"):
        raise ConfigError(f"{run_dir}: no finished run here", "Give the folder of a run.")
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        report, text = result_of(ledger), best_of_run(ledger)
    if report is None or text is None:
        raise ConfigError(f"{run_dir}: no finished run here", f"Let it finish with `metier resume {run_dir}`.")
    if report.mlflow is None or report.mlflow["run_id"] is None:
        raise ConfigError(f"{run_dir}: this run is not in MLflow", f"Write it there: metier track sync {run_dir}")
    shipped = _Shipped(run_dir, report, json.loads(text), "best.json")
    done, known = _ship(shipped, alias)
    if known:  # it may be mistyped
        done = f"{done}, a new alias beside {' and '.join(known)}"
    doubt = "" if report.verdict == "improved" else f" (its verdict is {report.verdict})"
    return f"{done}{doubt}, at {report.mlflow['tracking_uri']}"


def pin(report: Report, file: Path, name: str, verdict: str) -> str:
    """Let `champion` mean a prompt with its model under a name in the registry; returns where it is, in a few words.

    The prompt is that of a `file` which a finished run is the origin of; the run in MLflow gets a copy. Raises
    ConfigError (a run that is not in MLflow), LedgerError (one that cannot be written), StoppedByFailures (an outage).
    """
    if report.mlflow is None or report.mlflow["run_id"] is None:
        what = f"{report.run_dir}: this run is not in MLflow"
        raise ConfigError(what, f"Write it there: metier track sync {report.run_dir}")
    best = {**json.loads(file.read_text(encoding="utf-8")), "task": name, "verdict": verdict}
    uri, folder = str(report.mlflow["tracking_uri"]), "migration"
    try:
        make_client(uri).log_artifact(report.mlflow["run_id"], str(file), folder)
    except Exception as problem:  # noqa: BLE001 - the boundary to MLflow, which raises what its drivers raise
        raise _unreached(uri, problem) from None
    done, _ = _ship(_Shipped(report.run_dir, report, best, f"{folder}/{file.name}"), CHAMPION)
    return f"{done}, at {uri}"


@dataclass(frozen=True)
class _Shipped:
    """What is to be registered: the content of a saved prompt, which is the `file` among the artifacts of a run."""

    run_dir: Path
    report: Report
    best: Mapping[str, Any]
    file: str


def _ship(shipped: _Shipped, alias: str) -> tuple[str, list[str]]:
    """Register a prompt if it is not, and let an alias mean it; returns what was done, and the other aliases.

    These are told only of an alias that is new.
    """
    refuse_unwritable(shipped.run_dir, PROMOTE)
    report, best = shipped.report, shipped.best
    assert report.mlflow is not None  # noqa: S101 - who calls has looked
    uri, run_id, name = str(report.mlflow["tracking_uri"]), report.mlflow["run_id"], registry_name(best["task"])
    try:
        client = make_client(uri)
        version = register(client, best, str(run_id), client.get_run(str(run_id)).info.experiment_id, shipped.file)
        before = _version(client, name, alias, None)
        known = [] if before else aliases(client, best["task"])
    except Exception as problem:  # noqa: BLE001 - the boundary to MLflow, which raises what its drivers raise
        raise _unreached(uri, problem) from None
    decided = {
        "prompt": name,
        "alias": alias,
        "version": version,
        "was": before and int(before.version),
        "verdict": best["verdict"],
        "candidate": best["candidate_id"],
        "at": uri,
    }
    record_decision(shipped.run_dir, PROMOTE, decided)
    try:
        point(client, best["task"], alias, version)
    except Exception as problem:  # noqa: BLE001 - the same boundary
        record_decision(shipped.run_dir, UNDONE, {**decided, "why": why(problem)})
        raise _unreached(uri, problem) from None
    was = f", was version {before.version}" if before and int(before.version) != version else ""
    return f"prompts:/{name}@{alias} is version {version}{was}", known


def fetch(address: str, tracking_uri: str | None = None, trust: bool = False) -> str:
    """Return the text of the best.json behind `prompts:/NAME@ALIAS`, `/VERSION`, or the latest without either.

    A registry that keeps its files at another server is followed there only with `trust`: MLflow's key would go along.
    Raises TaskError if there is none, or it was not registered by metier; StoppedByFailures (an outage).
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise TaskError(f"'{address}' names no registered prompt", FORM)
    uri = checked(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or uri_of(None))
    from mlflow.exceptions import MlflowException

    try:
        client = make_client(uri)
        version = _version(client, **match.groupdict())
        if version is None:
            raise TaskError(f"{address}: not in the registry of {uri}", FORM)
        source = version.tags.get(FILE, "")
        if not source.startswith("runs:/"):
            raise TaskError(f"{address}: not registered by metier", REGISTER)
        run, _, path = source.removeprefix("runs:/").partition("/")
        if not trust:
            _refuse_elsewhere(address, client.get_run(run).info.artifact_uri, uri)
        with tempfile.TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run, path, folder)).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise TaskError(f"{address}: its file is not UTF-8 text", REGISTER) from None
    except (MlflowException, OSError) as problem:
        raise _unreached(uri, problem) from None


def _refuse_elsewhere(address: str, kept: str, uri: str) -> None:
    """Raise TaskError where a run's files lie at a server that is not the registry's own, or nobody knows which."""
    store = urlsplit(kept)
    if store.scheme in STORES or (store.scheme in SERVERS and store.hostname in (None, urlsplit(uri).hostname)):
        return
    what = f"{address}: its file lies elsewhere, at {kept!r:.80}"
    raise TaskError(what, "If you trust the registry at that, give --trust (in Python: trust=True).")


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


def _unreached(uri: str, problem: BaseException) -> StoppedByFailures:
    return StoppedByFailures(f"MLflow at {uri} did not do it ({why(problem)})", "Run this again once it can.")
