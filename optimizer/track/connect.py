"""A client of MLflow, its database and experiment created where they are missing."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from optimizer.system.mlflow_client import make_client
from optimizer.track.address import local_path

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def connect(uri: str, experiment: str) -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id; raises what MLflow raises."""
    file = local_path(uri)
    # Processes that create the schema of one SQLite file at the same time break each other.
    lock = contextlib.nullcontext() if file is None else FileLock(f"{file}.lock")
    with lock:
        client = make_client(uri)
        return client, _experiment(client, experiment, file)


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
