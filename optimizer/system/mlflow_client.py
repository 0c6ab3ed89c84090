"""MLflow's client, for whoever writes to it or reads from it: with our patience, and what went wrong in one line."""

from __future__ import annotations

import os
import sqlite3
from textwrap import shorten
from typing import TYPE_CHECKING

from optimizer.system.loopback import bypass_proxies

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


def mind_manners() -> None:
    """Tell MLflow how to behave: before it is imported, when it reads some of it."""
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    bypass_proxies()


def make_client(uri: str) -> MlflowClient:
    """Return a client whose requests end within our patience; raises what MLflow raises."""
    mind_manners()
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
