"""Cells as processes: small scripts that speak a cell's language; and the real thing, killed and gone on with."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.bench import wait_for
from support.jobs import metier, rule

from optimizer.config.schema import RunConfig
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls
from optimizer.sweep import local
from optimizer.sweep.local import LocalPlayer
from optimizer.sweep.player import Order, Played
from optimizer.sweep.status import sweep_status
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.paid import paid_by
from sweep.made import write_sweep

BEGIN = """
import json, os, signal, sys, time
order = json.loads(sys.stdin.readline())
def say(**message): print(json.dumps(message), flush=True)
def end(state, message="", outcome=None): say(state=state, message=message, outcome=outcome)
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order("one", RunConfig(task="t", run_dir=str(tmp_path / "cells" / "one")), {"id": "ab", "name": "mine"})


def cell(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let cells be played by a script instead of metier."""
    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", BEGIN + textwrap.dedent(script)))


def played(order: Order) -> Played:
    return asyncio.run(LocalPlayer().play(order))


def test_a_cell_gets_its_order_and_says_how_it_went(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    cell(monkeypatch, "end('finished', order['sweep']['id'], {'dir': order['config']['run_dir'], 'at': sys.argv[1:]})")
    outcome = {"dir": order.config.run_dir, "at": ["sweep", "cell"]}
    assert played(order) == Played("finished", "ab", outcome)


def test_what_a_cell_prints_does_not_get_in_the_way(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    cell(monkeypatch, "print('hello'); print('[1]'); sys.stderr.write('to the log\\n'); end('failed', 'no')")
    assert played(order) == Played("failed", "no")
    assert (Path(order.config.run_dir or "") / "output.log").read_text() == "to the log\n"


def test_a_killed_cell_is_lost_and_a_broken_one_has_failed(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    cell(monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)")
    assert played(order) == Played("lost", "its process was killed by SIGKILL")
    cell(monkeypatch, "sys.exit('Error: a bug'.encode() and 70)")
    assert played(order).state == "failed"
    cell(monkeypatch, "sys.stderr.write('Error: the last word\\n'); sys.exit(2)")
    assert played(order).message.startswith("Error: the last word (exit code 2; see ")


def test_a_cell_that_is_cancelled_may_stop_in_order(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(order.config.run_dir or "")
    cell(
        monkeypatch,
        """
        def stop(*_):
            open(order['config']['run_dir'] + '/stopped', 'w').close()
            sys.exit(130)
        signal.signal(signal.SIGTERM, stop)
        open(order['config']['run_dir'] + '/ready', 'w').close()
        time.sleep(60)
        """,
    )

    async def cancel() -> None:
        playing = asyncio.create_task(LocalPlayer().play(order))
        while not (folder / "ready").exists():
            await asyncio.sleep(0.01)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing

    asyncio.run(cancel())
    assert (folder / "stopped").exists()


def test_calls_take_turns_in_the_driver(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    cell(
        monkeypatch,
        """
        say(enter=10, account='a', number=7)
        reply = json.loads(sys.stdin.readline())
        say(answered=[time.monotonic(), 10, 12], account='a')
        say(failed=[time.monotonic(), {'kind': 'rate_limit', 'what': 'slow down', 'retry_after': 0.2}], account='a')
        begun = time.monotonic()
        say(enter=10, account='a', number=8)
        later = json.loads(sys.stdin.readline())
        end('finished', '', {'replies': [reply, later], 'waited': time.monotonic() - begun})
        """,
    )
    outcome = played(order).outcome
    assert outcome is not None
    assert outcome["replies"][0] == {"number": 7, "by_chance": False, "text": ""}
    assert outcome["replies"][1]["number"] == 8
    assert outcome["waited"] >= 0.15


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule, delay=0.03) as made:
        yield made


@pytest.mark.slow
def test_a_sweep_that_is_killed_and_gone_on_with_pays_nothing_twice(tmp_path: Path, server: FakeServer) -> None:
    sweep = write_sweep(tmp_path, server.api_base, budget={"calls": 240})
    home, options = tmp_path / "out", {"light": True, "cwd": tmp_path, "env": {"METIER_CACHE": str(tmp_path / "cache")}}
    driver = metier("sweep", sweep, "--folder", home, **options)
    wait_for(lambda: server.count >= 25)
    driver.kill()
    driver.communicate()
    state = sweep_status(home)
    assert state.state == "interrupted"
    assert state.cells["finished"] < 4
    children = [path for path in (home / "cells").iterdir() if (path / "ledger.db").exists()]
    wait_for(lambda: not any(_is_played(path) for path in children))  # they hear that nobody waits for them
    driver = metier("sweep", home, "--quiet", **options)
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, out + err
    assert out.startswith("4 cells are finished")
    paid = paid_by((home / "cells").iterdir())
    paid.check(server.answered, 240)
    assert sweep_status(home).spent["calls"] == (paid.searched, 240)
    begun = {path.name for path in (home / "cells").iterdir()}
    driver = metier("sweep", "add", home, "seed=2", "--quiet", **options)
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, out + err
    new = {path.name for path in (home / "cells").iterdir()} - begun
    assert new == {"default--seed-2", "random--seed-2"}
    paid_by((home / "cells").iterdir()).check(server.answered, 240)
    assert (home / "report.html").stat().st_size > 10_000


def _is_played(path: Path) -> bool:
    with closing(Reader(path / "ledger.db")) as ledger:
        return ledger.is_being_written()


@pytest.mark.slow
def test_ctrl_c_lets_cells_stop_in_order(tmp_path: Path, server: FakeServer) -> None:
    home, uri = tmp_path / "out", f"sqlite:///{tmp_path}/mlflow.db"
    run = {"tracking": {"mlflow": {"uri": uri}}}
    sweep = write_sweep(tmp_path, server.api_base, run, matrix={"seed": [0]})
    driver = metier("sweep", sweep, "--folder", home, light=True, cwd=tmp_path)
    wait_for(lambda: server.count >= 12)
    os.kill(driver.pid, signal.SIGINT)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert f"Go on with `metier sweep {home}`" in err
    with closing(Reader(home / "cells" / "seed-0" / "ledger.db")) as ledger:
        assert lost_calls(ledger) == 0
        assert ledger.read("SELECT COUNT(*) AS n FROM calls WHERE state = 'intent'")[0]["n"] == 0, "none was cut off"
    assert sweep_status(home).cells["interrupted"] == 1
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as mlflow:
        children = "SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId'"
        told = mlflow.execute(f"SELECT name, status FROM runs WHERE run_uuid NOT IN ({children})")
        assert told.fetchall() == [("out", "KILLED")]
