"""A real MLflow server, and what lies in MLflow of a run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from optimizer.system.mlflow_client import MANNERS
from optimizer.track.connect import connect

# Before any test: MLflow reads some of them on import, and a test of the documents imports it as a user does.
os.environ.update(MANNERS)


class TrackingServer:
    """A tracking server on 127.0.0.1 that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self.port}"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("ab") as log:
            environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self._child = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        deadline = time.monotonic() + 90
        while True:
            try:
                if httpx.get(f"{self.uri}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < deadline
                assert self._child.poll() is None, (self.folder / "server.log").read_text()
                time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL it and all that it started."""
        if self._child is not None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None


@pytest.fixture(scope="module")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """A server that is not started yet."""
    server = TrackingServer(tmp_path_factory.mktemp("tracking"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database with its tables, to be copied: making them takes seconds."""
    path = tmp_path_factory.mktemp("made") / "mlflow.db"
    client, _ = connect(f"sqlite:///{path}", "another")
    del client
    return path


def runs_of(uri: str, run_id: str, experiment: str = "metier") -> tuple[Any, list[Any]]:
    """Return a client and all MLflow runs of a run of metier, by name."""
    client, where = connect(uri, experiment)
    found = client.search_runs([where], f"tags.`metier.run_id` = '{run_id}'", max_results=1000)
    return client, sorted(found, key=lambda run: str(run.info.run_name))


def text_of(client: Any, run: Any, name: str) -> str:
    """Return an artifact's text."""
    return Path(client.download_artifacts(run.info.run_id, name)).read_text(encoding="utf-8")


def content_of(client: Any, run: Any) -> dict[str, Any]:
    """Return all that a run says, each value that was ever logged included, but for its ids."""
    hidden = ("mlflow.parentRunId", "mlflow.artifactLocation", "mlflow.user")
    history = {
        name: [
            (metric.step, metric.timestamp, metric.value) for metric in client.get_metric_history(run.info.run_id, name)
        ]
        for name in run.data.metrics
    }
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "params": dict(run.data.params),
        "history": history,
        "tags": {name: value for name, value in run.data.tags.items() if name not in hidden},
        "files": {file.path: text_of(client, run, file.path) for file in client.list_artifacts(run.info.run_id)},
    }
