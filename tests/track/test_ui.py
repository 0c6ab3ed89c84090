from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from support.jobs import ROOT, metier

from optimizer.cli.main import cli
from optimizer.errors import ConfigError
from optimizer.ledger.ledger import Ledger
from optimizer.track.ui import tracking_uri

pytestmark = pytest.mark.timeout(120)


def mirrored_to(run: Path, about: dict[str, str] | None) -> None:
    with closing(Ledger(run / "ledger.db")) as ledger:
        ledger.put_meta("tracking", about)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# In MLflow's place: a server whose worker holds the port, and does not end when it is asked to.
SERVER = """
import signal, socket, subprocess, sys, time

if "worker" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", int(sys.argv[2]))):
        time.sleep(60)
subprocess.Popen([sys.executable, __file__, "worker", sys.argv[sys.argv.index("--port") + 1]]).wait()
"""


@contextmanager
def served(folder: Path, port: int, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run `metier ui`; it is gone at the end, whatever happened."""
    # A session of its own, as that of a terminal is.
    process = metier("ui", folder, "--port", str(port), start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10):
                return
        except OSError:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)


def check_that_it_ends(process: subprocess.Popen[str], port: int, number: signal.Signals) -> None:
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert "Traceback (most recent call last)" not in told
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        pass


@pytest.mark.slow
def test_the_ui_serves_on_this_machine_only_until_a_signal(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    port = free_port()
    with served(tmp_path, port) as process:
        base = f"http://127.0.0.1:{port}"
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(2)]
        assert told[0].startswith(f"Starting MLflow's pages at {base} over sqlite:///")
        assert told[1] == f"{base} (Ctrl-C ends it)\n"  # and from then on it answers
        page = httpx.get(base, timeout=30)
        assert page.status_code == 200
        assert "MLflow" in page.text
        found = httpx.post(f"{base}/ajax-api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]}, timeout=30)
        assert found.status_code == 200
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=2):
            pass
        check_that_it_ends(process, port, signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_all_that_the_server_started_ends_with_it(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "mlflow.py").write_text(SERVER)
    port = free_port()
    with served(tmp_path, port, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}) as process:
        wait_for_port(port, process)
        check_that_it_ends(process, port, number)


def test_the_address_comes_from_the_result_or_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    with pytest.raises(ConfigError, match="no run with an MLflow database"):
        tracking_uri(run)
    with pytest.raises(ConfigError, match=r"no run below \./runs"):
        tracking_uri(None)
    (tmp_path / "runs" / "mlflow.db").touch()
    shared = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    assert tracking_uri(run) == tracking_uri(None) == shared
    mirrored_to(run, {"uri": "http://there"})
    (run / "result.json").touch()
    assert tracking_uri(run) == tracking_uri(None) == "http://there"
    mirrored_to(run, None)
    with pytest.raises(ConfigError, match="was not mirrored"):
        tracking_uri(run)


def test_a_run_on_a_server_is_shown_by_that_server(tmp_path: Path) -> None:
    mirrored_to(tmp_path, {"uri": "http://there:5000"})
    done = CliRunner().invoke(cli, ["ui", str(tmp_path)], prog_name="metier")
    assert (done.exit_code, done.stdout) == (0, "http://there:5000\n")
