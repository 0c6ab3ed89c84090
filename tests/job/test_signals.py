"""Real signals, sent to a real run."""

from __future__ import annotations

import os
import signal
import time

import pytest
from support.bench import Bench, wait_for
from support.jobs import metier

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_drains_what_is_in_flight(bench: Bench, number: signal.Signals) -> None:
    bench.server.delay = 0.3
    pid = bench.start("out")
    wait_for(lambda: bench.server.count >= 4)
    os.kill(pid, number)
    assert bench.forks.wait(pid) == 130, bench.log("out")
    assert "Traceback" not in bench.log("out")
    assert f"metier resume {bench.folder / 'out'}" in bench.log("out")
    with bench.ledger("out") as ledger:
        states = {row["state"] for row in ledger.read("SELECT state FROM calls")}
        done = ledger.read("SELECT COUNT(*) AS n FROM calls")[0]["n"]
        assert ledger.meta("stopped")["why"] == "interrupted"
    assert (states, done) == ({"done"}, bench.server.count)
    bench.server.delay = 0.0
    assert bench.run("out") == 0, bench.log("out")
    assert bench.result("out")["lost_calls"] == 0


@pytest.mark.slow
def test_a_call_that_does_not_end_is_cut_off_after_five_seconds(bench: Bench) -> None:
    bench.server.delay = 15
    pid = bench.start("out")
    wait_for(lambda: bench.server.count >= 4)
    started = time.monotonic()
    os.kill(pid, signal.SIGINT)
    assert bench.forks.wait(pid) == 130, bench.log("out")
    assert 4.5 <= time.monotonic() - started <= 9
    lost = bench.server.count - bench.server.answered
    assert lost > 0
    bench.server.delay = 0.0
    assert bench.run("out") == 0, bench.log("out")
    assert bench.result("out")["lost_calls"] == lost


def test_a_second_signal_ends_it_at_once(bench: Bench) -> None:
    bench.server.delay = 4
    pid = bench.start("out")
    wait_for(lambda: bench.server.count >= 4)
    started = time.monotonic()
    os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    assert bench.forks.wait(pid) == 130
    assert time.monotonic() - started < 2


def test_a_signal_before_the_run_begins_ends_it_as_well(bench: Bench) -> None:
    first = bench.start("out")
    bench.server.delay = 0.3
    wait_for(lambda: bench.server.count >= 1)
    waiting = metier("resume", bench.folder / "out", "--wait", light=True)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "Loading …\n"
    time.sleep(0.5)
    waiting.send_signal(signal.SIGTERM)
    out, told = waiting.communicate(timeout=20)
    assert (waiting.returncode, told) == (130, "Interrupted.\n"), out
    os.kill(first, signal.SIGKILL)
    bench.forks.wait(first)
