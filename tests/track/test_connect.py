from __future__ import annotations

import multiprocessing
import sqlite3
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from support.proxies import proxy

from optimizer.testing.fake_server import FakeServer
from optimizer.track.connect import connect

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


def test_an_mlflow_on_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(lambda messages: "") as server, proxy(monkeypatch) as asked, pytest.raises(MlflowException):
        connect(server.url, "metier")  # which is no MLflow
    assert asked == []


def start(folder: str, rounds: int, barrier: Any, outcomes: Any) -> None:
    """Connect to the same fresh database as the others at the same moment, and use it, round after round."""
    for number in range(rounds):
        try:
            barrier.wait(200)
            client, experiment = connect(f"sqlite:///{folder}/round-{number}.db", "metier")
            run = client.create_run(experiment).info.run_id
            client.log_metric(run, "score", 1.0)
            outcomes.put((number, experiment))
        except Exception:  # noqa: BLE001 - whatever it is, the test shall see it
            outcomes.put((number, traceback.format_exc()))


def race(folder: Path, processes: int, rounds: int) -> list[tuple[int, str]]:
    # Nothing is shared but the file: they are forks of a process that has done nothing but import.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.tracking", __name__])
    barrier, outcomes = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=start, args=(str(folder), rounds, barrier, outcomes)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        return [outcomes.get(timeout=500) for _ in range(processes * rounds)]
    finally:
        for worker in workers:
            worker.join(10)
            worker.kill()
            worker.join()


@pytest.mark.parametrize(
    ("processes", "rounds"), [(2, 1), pytest.param(8, 20, marks=pytest.mark.slow)], ids=["2 once", "8 in 20 rounds"]
)
def test_processes_that_start_on_a_fresh_database_at_once(tmp_path: Path, processes: int, rounds: int) -> None:
    outcomes = race(tmp_path, processes, rounds)
    assert [told for _, told in outcomes if not told.isdigit()] == []
    # All found, or made, one and the same experiment.
    assert len(set(outcomes)) == rounds
    for number in range(rounds):
        with closing(sqlite3.connect(tmp_path / f"round-{number}.db")) as database:
            assert database.execute("SELECT COUNT(*) FROM runs").fetchone() == (processes,)
