"""A client of MLflow, its database and experiment created where they are missing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from filelock import FileLock

from optimizer.system.loopback import bypass_proxies
from optimizer.track.address import local_path

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# Ours are the retries and the patience: MLflow's own would sit on one request for minutes.
MANNERS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # else it reports the tables that it creates
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
LONGEST_WHY = 200


def connect(uri: str, experiment: str) -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id; raises what MLflow raises."""
    file = local_path(uri)
    # Processes that create the schema of one SQLite file at the same time break each other.
    lock = contextlib.nullcontext() if file is None else FileLock(f"{file}.lock")
    with lock:
        client = make_client(uri)
        return client, _experiment(client, experiment, file)


def make_client(uri: str) -> MlflowClient:
    """Return a client whose requests end within our patience; raises what MLflow raises."""
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    bypass_proxies()
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def why(problem: BaseException) -> str:
    """Return a problem in one short line: MLflow wraps the cause, a refused connection say, in pages."""
    shown, cause = problem, problem.__cause__ or problem.__context__
    while cause is not None:
        if isinstance(cause, OSError | sqlite3.Error):
            shown = cause
        cause = cause.__cause__ or cause.__context__
    text = getattr(shown, "strerror", None) or str(shown).strip() or type(shown).__name__
    return shorten(text.splitlines()[0], LONGEST_WHY)


def _experiment(client: MlflowClient, name: str, file: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if file is None else (file.parent / "mlartifacts").as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process may have been faster
            if found is None:
                raise
    return str(found.experiment_id)
