"""Whole runs against a server that keeps its own bill: dollars and time, also across kills."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jobs import lighten, make_task, metier, rule, settings, write_config

from optimizer.errors import ConfigError
from optimizer.job.run import run_config
from optimizer.ledger.result import Report
from optimizer.testing.fake_server import FakeServer, Messages, Protocol

FIRST_SEED = int(os.environ.get("METIER_TEST_SEED", "0"))
TESTED = 29
INPUT, CACHED, OUTPUT = 100.0, 25.0, 400.0
MODEL = {"model": "openai/fake", "max_tokens": 16, "price": {"input": INPUT, "cached": CACHED, "output": OUTPUT}}


class Billing(FakeServer):
    """Adds up the dollars of what it answers."""

    def __init__(self, answer: Callable[[Messages], str], delay: float = 0.0) -> None:
        super().__init__(answer, delay)
        self.usd = 0.0
        self._bill = threading.Lock()

    def _complete(self, protocol: Protocol, body: dict[str, Any], *, real: bool) -> dict[str, Any]:
        """Answer, and charge for it whether or not anybody is left to hear."""
        done = super()._complete(protocol, body, real=real)
        used = done["usage"]
        cached = used["prompt_tokens_details"]["cached_tokens"]
        plain, made = used["prompt_tokens"] - cached, used["completion_tokens"]
        with self._bill:
            self.usd += (INPUT * plain + CACHED * cached + OUTPUT * made) / 1e6
        return done


@pytest.fixture
def server() -> Iterator[Billing]:
    with Billing(rule) as running:
        yield running


Config = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path, server: Billing, monkeypatch: pytest.MonkeyPatch) -> Config:
    lighten(monkeypatch.setattr)
    task = make_task(tmp_path / "task")

    def make(**changes: Any) -> Path:
        models = {"task": MODEL, "api_base": server.api_base, "concurrency": 4, "timeout": 20}
        data = settings(task, server.api_base, **{"models": models, "run_dir": str(tmp_path / "out"), **changes})
        return write_config(tmp_path / "run.yaml", data)

    return make


def bill(report: Report) -> float:
    return float(report.usage["usd"] + report.test_usage["usd"])


def notes(report: Report) -> str:
    return (report.run_dir / "report.md").read_text()


def test_reported_dollars_are_the_servers(config: Config, server: Billing) -> None:
    report = run_config(config())
    assert bill(report) == pytest.approx(server.usd)
    assert report.usage["cached_input_tokens"] > 0
    again = run_config(config())
    assert bill(again) == bill(report) == pytest.approx(server.usd)


@pytest.mark.parametrize("usd", [0.2, 0.4])
def test_dollars_bound_the_whole_job_and_the_test_is_paid_from_them(
    config: Config, server: Billing, usd: float
) -> None:
    report = run_config(config(budget={"usd": usd}))
    assert server.usd <= usd
    assert bill(report) == pytest.approx(server.usd)
    assert report.test_examples == TESTED  # all of it: the search left enough
    assert "ended during the test" not in notes(report)


def test_dollars_for_less_than_a_block_are_refused_with_the_key(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"budget\.usd: too little"):
        run_config(config(budget={"usd": 0.02}))


@pytest.mark.slow
def test_seconds_bound_the_whole_job_and_the_test_has_its_time(config: Config, server: Billing) -> None:
    server.delay = 0.1
    begun = time.monotonic()
    report = run_config(config(budget={"seconds": 8}, search={**settings(Path())["search"], "trials": 500}))
    assert time.monotonic() - begun < 12  # loading, and a machine that is busy with other things
    assert sum(report.trials.values()) < 500
    assert report.test_examples == TESTED


def test_a_test_that_time_cuts_short_rests_on_what_was_answered(config: Config, server: Billing) -> None:
    calls = 0

    def slower(messages: Messages) -> str:
        nonlocal calls
        calls += 1
        time.sleep(0.0 if calls <= 45 else 0.6)  # nothing foretells this
        return rule(messages)

    server.answer = slower
    search = {**settings(Path())["search"], "trials": 3}
    report = run_config(config(budget={"seconds": 4}, search=search))
    assert report.test_examples < TESTED
    assert f"the verdict rests on {report.test_examples} of {TESTED} test examples" in notes(report)
    assert json.loads((report.run_dir / "result.json").read_text())["status"] == "finished"


def test_a_resumed_run_does_not_get_its_seconds_again(config: Config, server: Billing) -> None:
    first = run_config(config(budget={"seconds": 60}))
    paid = server.count
    from optimizer.ledger.ledger import Ledger

    ledger = Ledger(first.run_dir / "ledger.db")
    try:
        clock = ledger.meta("clock")
        ledger.put_meta("clock", {**clock, "starts": [clock["starts"][0] - 3600]})  # it began an hour earlier
    finally:
        ledger.close()
    again = run_config(config(budget={"seconds": 60}))  # its time is over, but what it paid for is there
    assert server.count == paid
    assert again.difference == first.difference
    assert again.test_examples == TESTED


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_over_ten_kills_the_bill_is_never_too_low_and_the_budget_holds(
    config: Config, server: Billing, tmp_path: Path
) -> None:
    rng = random.Random(FIRST_SEED)
    usd = 1.0
    path = config(budget={"usd": usd})
    server.delay = 0.15
    kills = 0
    while True:
        before = server.count
        process = metier("run", path, "--quiet", light=True)
        try:
            while process.poll() is None and server.count == before:
                time.sleep(0.02)
            if kills < 10:
                try:
                    process.wait(rng.uniform(0.05, 0.8))
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
            _, told = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -9, told
    data = json.loads((tmp_path / "out" / "result.json").read_text())
    reported = data["usage"]["usd"] + data["test_usage"]["usd"]
    figures = f"METIER_TEST_SEED={FIRST_SEED}: {kills} kills, server ${server.usd:.4f}, reported ${reported:.4f}"
    (tmp_path / "figures.txt").write_text(figures)
    assert kills == 10
    assert server.usd <= reported + 1e-9 <= usd + 1e-9, figures
    # At most four were in flight at each kill. Those that were asked again are booked at their known input and
    # the longest answer; of the others, a kill in the last moment leaves at most four at their bytes.
    assert reported <= server.usd + (10 * 4 * (INPUT * 60 + OUTPUT * 64) + 4 * INPUT * 1500) / 1e6, figures
