from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from jobs import metier

from optimizer.cli.main import cli
from optimizer.errors import ConfigError
from optimizer.track.ui import tracking_uri

pytestmark = pytest.mark.timeout(120)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_ui_serves_on_this_machine_only_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "mlflow.db").touch()
    port = free_port()
    # A session of its own: a terminal's Ctrl-C goes to the command and to its server, as killpg does below.
    process = metier("ui", tmp_path, "--port", str(port), start_new_session=True)
    try:
        base, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            try:
                page = httpx.get(base, timeout=10)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.3)
        assert page.status_code == 200
        assert "MLflow" in page.text
        found = httpx.post(f"{base}/ajax-api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]}, timeout=30)
        assert found.status_code == 200
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=2):
            pass
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
        assert "Traceback (most recent call last)" not in told
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
            pass
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


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
    (run / "result.json").write_text(json.dumps({"mlflow": {"tracking_uri": "http://there"}}))
    assert tracking_uri(run) == tracking_uri(None) == "http://there"


def test_a_run_on_a_server_is_shown_by_that_server(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"mlflow": {"tracking_uri": "http://there:5000"}}))
    done = CliRunner().invoke(cli, ["ui", str(tmp_path)], prog_name="metier")
    assert (done.exit_code, done.stdout) == (0, "http://there:5000\n")
