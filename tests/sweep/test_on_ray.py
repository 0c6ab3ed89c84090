"""A sweep on a real Ray of two worker processes, where Ray is installed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import ROOT, rule

from optimizer.errors import ConfigError
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls, usage_by_role
from optimizer.sweep import on_ray
from optimizer.sweep.ledger import SweepReader
from optimizer.sweep.on_ray import RayPlayer
from optimizer.sweep.run import play_sweep
from optimizer.sweep.schema import RayCluster, load_sweep
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Usage
from sweep.made import write_sweep


def lighten_worker() -> None:
    """Let a worker's cells have an embedder that costs nothing; Ray calls it when the process begins."""
    from optimizer.testing.light import drop_charts, lighten

    lighten(setattr)
    drop_charts(setattr)


def test_a_cluster_is_named_by_auto_or_its_address(tmp_path: Path) -> None:
    for where, address in (({"ray": "auto"}, "auto"), ("ray://head:10001", "ray://head:10001")):
        assert load_sweep(write_sweep(tmp_path, where=where)).where == RayCluster(ray=address)
    with pytest.raises(ConfigError, match=r"write local, \{ray: auto\}"):
        load_sweep(write_sweep(tmp_path, where="ray"))


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match="Ray is not installed") as caught:
        play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9", where={"ray": "auto"}), tmp_path / "out")
    assert "metier[ray]" in caught.value.remedy


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray of two worker processes on this machine, whose cells are light."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    extra = {"env_vars": {"PYTHONPATH": path}, "worker_process_setup_hook": "sweep.test_on_ray.lighten_worker"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", runtime_env=extra)
    monkeypatch.setattr(on_ray, "environment", dict)
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.filterwarnings("default")
def test_two_workers_play_a_sweep_though_one_is_killed(tmp_path: Path, cluster: Any) -> None:
    with FakeServer(rule, delay=0.02) as server:
        sweep = write_sweep(tmp_path, server.api_base, budget={"calls": 240}, parallel=None, where={"ray": "auto"})
        home = tmp_path / "out"
        killer = threading.Thread(target=_kill_one, args=(server, home))
        killer.start()
        player = RayPlayer()
        assert player.room() == 2
        ended = play_sweep(sweep, home, player=player)
        killer.join()
        assert ended.complete
        with closing(SweepReader(home)) as ledger:
            assert sum(one.plays for one in ledger.cells()) == 5, "one was lost, and played again"
        searched = answered = lost = 0
        for path in (home / "cells").iterdir():
            with closing(Reader(path / "ledger.db")) as run:
                search, test = (sum(usage_by_role(run, phase).values(), Usage()) for phase in ("search", "test"))
                lost += lost_calls(run)
            searched, answered = searched + search.calls, answered + search.calls + test.calls
        assert searched <= 240
        assert answered <= server.answered <= answered + lost, "a committed call was asked again"


def _kill_one(server: FakeServer, home: Path) -> None:
    """Kill the first worker that has begun a cell, by the process that its ledger names."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if server.count >= 20:
            for path in (home / "cells").glob("*/ledger.db"):
                with closing(Reader(path)) as ledger:
                    attempts = ledger.meta("attempts")
                if attempts:
                    os.kill(attempts[-1]["pid"], signal.SIGKILL)
                    return
        time.sleep(0.05)
