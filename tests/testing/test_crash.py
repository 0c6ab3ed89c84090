"""The bars of resuming: nothing that was paid is lost, whenever and wherever the process dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bench import SEED, Bench
from support.jobs import ROOT, make_task, rule, settings, write_config

from optimizer.ledger.spend import lost_calls
from optimizer.testing.crash import POINTS
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks
from optimizer.types import canonical_json

pytestmark = pytest.mark.timeout(280)
CONCURRENCY = 4
# Passed only by a run that was cut off before.
REPLAY = ("hit.before", "hit.after")
QUICK = ("response.before", "scores.after", "file.after")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("crash")
    with FakeServer(rule) as server:
        data = settings(make_task(folder / "task"), server.api_base, budget={}, seed=SEED)
        yield Bench(folder, write_config(folder / "run.yaml", data), server, forks)


@pytest.fixture(scope="module")
def calm(bench: Bench) -> dict[str, int]:
    """How often the uninterrupted run, called "calm", passes each point."""
    counts = bench.folder / "counts.json"
    assert bench.run("calm", count=counts) == 0, bench.log("calm")
    passages: dict[str, int] = json.loads(counts.read_text())
    assert [name for name, passed in passages.items() if not passed and name in POINTS] == list(REPLAY)
    return passages


def requests(server: FakeServer, start: int) -> Counter[str]:
    """Count the requests since `start` by what was asked."""
    return Counter(canonical_json(body) for body in server.requests[start:])


def same_but_time_and_loss(result: dict[str, Any]) -> dict[str, Any]:
    # What the server has cached depends on the order in which calls reach it, and what a lost call may have
    # cost is booked besides.
    unsure = {"cached_input_tokens": 0, "input_tokens": 0, "output_tokens": 0, "usd": 0.0}
    usage = {name: {**result[name], **unsure} for name in ("usage", "test_usage")}
    return {key: value for key, value in result.items() if key not in {"seconds", "run_id", "lost_calls"}} | usage


def check_point(bench: Bench, calm: dict[str, int], point: str, number: int) -> None:
    name, before = f"{point}-{number}", bench.server.count
    if point in REPLAY:
        assert bench.run(name, at="scores.after:5") == -signal.SIGKILL
    assert bench.run(name, at=f"{point}:{number}") == -signal.SIGKILL, f"{point}:{number} was not passed"
    assert bench.run(name) == 0, bench.log(name)
    assert bench.trials(name) == bench.trials("calm")
    result = bench.result(name)
    undisturbed = bench.result("calm")
    assert same_but_time_and_loss(result) == same_but_time_and_loss(undisturbed)
    for usage in ("usage", "test_usage"):
        assert result[usage]["input_tokens"] >= undisturbed[usage]["input_tokens"]
    asked = requests(bench.server, before)
    repeated = sum(asked.values()) - len(asked)
    kills = 2 if point in REPLAY else 1
    assert repeated <= result["lost_calls"] <= CONCURRENCY * kills


@pytest.mark.parametrize("point", QUICK)
def test_a_kill_at_a_named_point_changes_nothing(bench: Bench, calm: dict[str, int], point: str) -> None:
    check_point(bench, calm, point, random.Random(f"{SEED} {point}").randint(1, calm[point]))


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in POINTS if point not in QUICK])
def test_a_kill_at_any_named_point_changes_nothing(bench: Bench, calm: dict[str, int], point: str) -> None:
    check_point(bench, calm, point, random.Random(f"{SEED} {point}").randint(1, max(1, calm[point])))


def strike(bench: Bench, name: str, pid: int, chance: random.Random) -> None:
    """Kill a process a few calls after its first one, or now and then before it, at any moment of a call."""
    target = bench.server.count + chance.randint(0, 9)
    deadline = time.monotonic() + 20
    while bench.server.count < target and time.monotonic() < deadline:
        if (bench.folder / name / "result.json").exists():
            return
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 2 * bench.server.delay))
    os.kill(pid, signal.SIGKILL)


def kill_at_random(bench: Bench, name: str, kills: int, chance: random.Random) -> int:
    """Run, kill and run again until done; returns how many kills struck. Checks that nothing goes backwards."""
    struck, ended = 0, set[tuple[Any, ...]]()
    while True:
        pid = bench.start(name)
        if struck < kills:
            strike(bench, name, pid, chance)
        code = bench.forks.wait(pid)
        if code == 0:
            return struck
        assert code == -signal.SIGKILL, bench.log(name)
        struck += 1
        if (bench.folder / name / "ledger.db").exists():
            kept = {row for row in bench.trials(name) if row[2] != "running"} if has_tables(bench, name) else set()
            assert ended <= kept, "a trial that had ended was lost"
            ended = kept


def has_tables(bench: Bench, name: str) -> bool:
    """Tell if the very first process lived long enough to make the ledger."""
    with bench.ledger(name) as ledger:
        return bool(ledger.read("SELECT 1 FROM sqlite_schema WHERE name = 'trials'"))


def check_random_kills(bench: Bench, name: str, kills: int, least: int, trials: int) -> None:
    chance, before = random.Random(SEED), bench.server.count
    bench.server.delay = 0.03
    try:
        struck = kill_at_random(bench, name, kills, chance)
    finally:
        bench.server.delay = 0.0
    asked = requests(bench.server, before)
    with bench.ledger(name) as ledger:
        done = ledger.read("SELECT COUNT(*) AS n FROM calls WHERE state = 'done'")[0]["n"]
        lost, attempts = lost_calls(ledger), len(ledger.meta("attempts"))
    repeated = sum(asked.values()) - len(asked)
    sys.stdout.write(
        f"seed {SEED}: {struck} kills, {attempts} attempts, {done} calls, {repeated} repeated, {lost} lost\n"
    )
    assert struck >= least
    assert done == len(asked), "a committed call was paid again, or one was never asked for"
    assert sum(asked.values()) <= done + lost, "a request is not recorded"
    assert repeated <= lost <= CONCURRENCY * struck
    result = bench.result(name)
    assert result["lost_calls"] == lost
    assert sum(result["trials"].values()) == trials


@pytest.mark.slow
def test_kills_at_random_times_lose_nothing(bench: Bench, calm: dict[str, int]) -> None:
    check_random_kills(bench, "random", kills=5, least=5, trials=8)
    assert bench.trials("random") == bench.trials("calm")


@pytest.mark.slow
@pytest.mark.timeout(900)  # on machines that may be slow
def test_a_hundred_kills_at_random_times_lose_nothing(tmp_path: Path, bench: Bench) -> None:
    data = settings(make_task(tmp_path / "task"), bench.server.api_base, budget={}, seed=SEED)
    data["search"] |= {"trials": 50, "instructions": 8, "demos": {"counts": [0, 2, 4, 8], "sets": 8}}
    long = Bench(tmp_path, write_config(tmp_path / "run.yaml", data), bench.server, bench.forks)
    assert long.run("calm") == 0, long.log("calm")
    check_random_kills(long, "random", kills=100, least=100, trials=50)
    assert long.trials("random") == long.trials("calm")


def test_the_command_kills_its_own_process_and_refuses_unknown_points(bench: Bench, calm: dict[str, int]) -> None:
    command = [sys.executable, "-m", "optimizer.testing.crash", "--at"]
    out = str(bench.folder / "calm")
    for at, code in (("claim.after:1", -signal.SIGKILL), ("nowhere:1", 2), ("claim.after:0", 2)):
        told = [*command, at, "--", "resume", out]
        done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done.stderr
    assert "is not NAME:N; the names are open.before" in done.stderr
