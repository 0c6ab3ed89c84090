"""The MLflow UI over a run's database, on 127.0.0.1 only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from optimizer.errors import ConfigError
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.system.files import exists, is_file
from optimizer.track.view import view_address

POLL_SECONDS = 2.0
# The UI only shows: it runs no jobs, unpickles nothing, sends nothing home, and logs no more than warnings. Whether the
# browser shows the assistant's panel, and on MLflow's home page the notice on telemetry, only its own storage decides.
SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def tracking_uri(run_dir: Path | None) -> str:
    """Return the tracking URI of a run, or of the latest one below ./runs; raises ConfigError, LedgerError."""
    run = run_dir or latest() or Path("runs")
    if is_file(run / "ledger.db"):
        with closing(Reader(run / "ledger.db")) as ledger:
            about = ledger.meta("tracking")
        if about is None:
            raise ConfigError(f"{run}: this run was not mirrored to MLflow", "Run it with tracking.mlflow set.")
        return str(about["uri"])
    for home in (run, run.parent) if run_dir else (run,):
        if exists(home / "mlflow.db"):
            return f"sqlite:///{(home / 'mlflow.db').resolve()}"
    if run_dir is None:
        raise ConfigError("no run below ./runs", "Name the run's folder: metier ui RUN_DIR")
    raise ConfigError(f"{run_dir}: no run with an MLflow database here", "Give the folder of a run.")


def latest() -> Path | None:
    """Return the folder of the run below ./runs that finished last."""
    finished = sorted(Path("runs").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    return finished[-1].parent if finished else None


def trials_address(run_dir: Path | None, uri: str) -> str | None:
    """Return the UI's address of a finished run's trials by score, or None where MLflow does not have the run."""
    if run_dir is None or not is_file(run_dir / "ledger.db"):
        return None
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        report = result_of(ledger)
    if report is None or report.mlflow is None or report.mlflow["run_id"] is None:
        return None
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        experiment = MlflowClient(uri).get_run(report.mlflow["run_id"]).info.experiment_id
    except MlflowException:
        return None
    return view_address(experiment, report.run_id)


def serve(uri: str, port: int, ready: Callable[[], None]) -> int:
    """Serve the UI until it is interrupted; returns its exit code. Calls `ready` once it answers.

    Raises ConfigError if the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            remedy = "Give another one: metier ui --port 5001"
            raise ConfigError(f"port {port} cannot be used ({problem.strerror})", remedy) from None
        except OverflowError:
            raise ConfigError(f"port {port} does not exist", "Give one from 1 to 65535.") from None
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]  # else its news comes before the address
    environment = {**os.environ, **SETTINGS}
    # A session of its own: MLflow starts workers, which must end with it however we are asked to end.
    before = [(number, signal.signal(number, _interrupt)) for number in (signal.SIGTERM, signal.SIGHUP)]
    try:
        # Its standard output lists every request; what goes wrong is told on standard error.
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True) as child:
            try:
                _wait_for_answer(child, port)
                if child.poll() is None:
                    ready()
                return child.wait()
            except KeyboardInterrupt:
                return 130
            finally:
                _end(child)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _wait_for_answer(child: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server answers, or has ended."""
    while child.poll() is None:
        # An error while it starts says no more than that it does.
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=POLL_SECONDS)
            with closing(connection):
                connection.request("GET", "/health")
                if connection.getresponse().status == HTTPStatus.OK:
                    return
        time.sleep(POLL_SECONDS / 10)


def _interrupt(number: int, frame: object) -> None:
    """End like Ctrl-C: by default these signals would end us alone, and leave the server behind."""
    raise KeyboardInterrupt


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, number)
            child.wait(5)
