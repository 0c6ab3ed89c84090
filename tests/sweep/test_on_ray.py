"""A sweep on a real Ray of three nodes on this machine, where Ray is installed."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from support.jobs import ROOT, rule

from optimizer.errors import ConfigError, LedgerError
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import usage_by_role
from optimizer.sweep import on_ray
from optimizer.sweep.ledger import SweepReader
from optimizer.sweep.on_ray import RayPlayer
from optimizer.sweep.run import play_sweep
from optimizer.sweep.schema import RayCluster, load_sweep
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.paid import paid_by
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
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Connect to a Ray of three nodes on this machine, with one processor each; yields their raylets' process ids."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # Ray reads it when it is imported
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    extra = {"env_vars": {"PYTHONPATH": path}, "worker_process_setup_hook": "sweep.test_on_ray.lighten_worker"}
    monkeypatch.setattr(on_ray, "environment", dict)
    options = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        made = [cluster.head_node, *(cluster.add_node(num_cpus=1) for _ in range(2))]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", runtime_env=extra)
        yield [node.all_processes["raylet"][0].process.pid for node in made]
    finally:
        ray.shutdown()
        for node in [*cluster.worker_nodes, cluster.head_node]:  # a killed one is not waited for
            node.kill_all_processes(check_alive=False, allow_graceful=False)


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.filterwarnings("default")
def test_three_nodes_play_a_sweep_though_one_is_killed_and_a_worker(tmp_path: Path, nodes: list[int]) -> None:
    matrix = {"seed": [0, 1, 2, 3]}
    with FakeServer(rule, delay=0.15) as server:
        changes = {"matrix": matrix, "budget": {"calls": 240}, "parallel": None, "where": {"ray": "auto"}}
        sweep = write_sweep(tmp_path, server.api_base, artifacts=str(tmp_path / "store"), **changes)
        home = tmp_path / "out"
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(_kill_two, home, nodes)
            player = RayPlayer()
            assert player.room() == 3
            ended = play_sweep(sweep, home, player=player)
            assert ended.complete
            used, lost = killed.result()
        assert used == set(nodes), "one cell on each"
        with closing(SweepReader(home)) as ledger:
            again = {one.cell.name for one in ledger.cells() if one.plays > 1}
            assert again == lost, "they were played again"
            copied = {path.parents[1].name for path in (tmp_path / "store" / "cells").rglob("result.json")}
            assert copied == {one.cell.name for one in ledger.cells()}, "each worker copies its cells"
        paid_by((home / "cells").iterdir()).check(server.answered, 240)


def _kill_two(home: Path, nodes: list[int]) -> tuple[set[int], set[str]]:
    """Kill the last node once each plays a cell, and the head's worker; returns who played, and the cells that died."""
    deadline = time.monotonic() + 200
    players: dict[int, tuple[str, int]] = {}
    while set(players) < set(nodes) and time.monotonic() < deadline:
        time.sleep(0.05)
        players = {}
        for path in home.glob("cells/*/ledger.db"):
            with suppress(LedgerError, psutil.Error), closing(Reader(path)) as ledger:
                attempts = ledger.meta("attempts")
                if attempts and usage_by_role(ledger, "search"):
                    pid = attempts[-1]["pid"]
                    parents = {one.pid for one in psutil.Process(pid).parents()}
                    players |= {node: (path.parent.name, pid) for node in nodes if node in parents}
    raylet = psutil.Process(nodes[-1])
    for process in (raylet, *raylet.children(recursive=True), psutil.Process(players[nodes[0]][1])):
        process.kill()
    return set(players), {players[nodes[0]][0], players[nodes[-1]][0]}
