"""The door before a provider that misbehaves: rate limits, outages, wrong keys, stragglers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any

import pytest
from dspy.lm15 import Response

from optimizer.door import breaker
from optimizer.door.door import Door
from optimizer.errors import CallError, StoppedByFailures
from optimizer.ledger.ledger import Ledger
from optimizer.models.providers import Endpoint
from optimizer.testing.fake_server import FakeServer, text_of
from optimizer.testing.faults import Chance, Fault

from .conftest import MakeDoor, request

Open = Callable[..., Door]
SEED = int(os.environ.get("METIER_TEST_SEED", "1"))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: text_of(messages[-1]).upper()) as running:
        yield running


@pytest.fixture
def open_door(make_door: MakeDoor, server: FakeServer) -> Open:
    def make(timeout: float = 30.0, concurrency: int = 16, at: FakeServer = server, **settings: Any) -> Door:
        place = Endpoint("openai/fake", "fake", at.api_base, "key", timeout, concurrency)
        return make_door(place, **settings)  # type: ignore[arg-type]

    return make


def submit(door: Door, count: int, start: int = 0) -> list[Future[Response]]:
    return [door.submit("task", request(f"call {number}", temperature=0.0)) for number in range(start, start + count)]


def kinds(futures: list[Future[Response]]) -> list[str]:
    """Return how each call ended: 'ok', a kind of failure, or 'stopped'."""
    outcomes = []
    for future in futures:
        problem = future.exception(120)
        if isinstance(problem, CallError):
            outcomes.append(problem.kind)
        else:
            assert problem is None or isinstance(problem, StoppedByFailures), problem
            outcomes.append("ok" if problem is None else "stopped")
    return outcomes


def test_a_hundred_identical_calls_are_one_request(open_door: Open, server: FakeServer) -> None:
    server.delay = 0.1
    door = open_door()
    futures = [door.submit("task", request()) for _ in range(100)]
    assert kinds(futures) == ["ok"] * 100
    assert server.count == 1


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("concurrency", [1, 16, 64])
def test_a_wrong_key_or_model_costs_at_most_3_requests(
    open_door: Open, server: FakeServer, status: int, concurrency: int
) -> None:
    server.delay = 0.02
    server.break_down(Fault("status", status))
    assert set(kinds(submit(open_door(concurrency=concurrency), 100))) == {"stopped"}
    assert server.count <= 3


@pytest.mark.parametrize("fault", [Fault("status", 400), Fault("status", 413)], ids=lambda fault: str(fault.status))
def test_a_refused_call_is_that_calls_failure_alone(open_door: Open, server: FakeServer, fault: Fault) -> None:
    server.break_down(fault)
    door = open_door(give_up_after=0.05)
    assert kinds(submit(door, 5)) == ["invalid_request"] * 5
    time.sleep(0.1)
    assert kinds(submit(door, 5, 5)) == ["invalid_request"] * 5
    assert server.count == 10


def check_retry_after(door: Door, server: FakeServer, status: int, seconds: float) -> None:
    assert kinds(submit(door, 20)) == ["ok"] * 20
    server.fail(status, times=3, retry_after=seconds)
    begun = server.count
    assert kinds(submit(door, 60, 20)) == ["ok"] * 60
    times = server.times[begun:]
    # The refusals reach the door a moment after the first of them came in; by then others may be on their way.
    asked_at = times[0]
    on_the_way = [moment for moment in times if moment - asked_at < seconds]
    assert len(on_the_way) <= 16
    assert max(on_the_way) - asked_at < 0.5
    assert len(times) == 63


@pytest.mark.parametrize("status", [429, 503])
def test_no_request_comes_sooner_than_retry_after(open_door: Open, server: FakeServer, status: int) -> None:
    check_retry_after(open_door(), server, status, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_no_request_comes_sooner_than_7_seconds(open_door: Open, server: FakeServer, status: int) -> None:
    check_retry_after(open_door(), server, status, 7.0)


@pytest.mark.slow
def test_a_limit_of_240_a_minute_is_learned(open_door: Open, server: FakeServer) -> None:
    """After 10 s under 2 % are refused and 90 % of the limit is reached, with rate-limit headers and without.

    Other limits are tried in simulated time, by `test_pace.py`.
    """
    with FakeServer(lambda _: "yes") as telling:
        server.limit(240, burst=5)
        telling.limit(240, burst=5, announced=True)
        start, seconds = time.monotonic(), 25
        calls = [submit(open_door(retries=50, give_up_after=300, at=at), 400) for at in (server, telling)]
        time.sleep(10 + seconds)
        for one in (server, telling):
            later = one.count - sum(moment - start < 10 for moment in one.times)
            refused = sum(moment - start >= 10 for moment in one.failed_at)
            assert later - refused >= 0.9 * 4 * seconds, one is telling
            assert refused < 0.02 * later, one is telling
        for future in [*calls[0], *calls[1]]:
            future.cancel()


def test_refusals_at_random_do_not_slow_a_run_down(open_door: Open, server: FakeServer) -> None:
    server.gamble(Chance(SEED, share=0.3, faults=(Fault("status", 429),)))
    futures = submit(open_door(concurrency=8), 200)
    assert not wait(futures, 60).not_done, f"seed {SEED}: {server.answered} answers in a minute"
    assert kinds(futures) == ["ok"] * 200


def test_a_stated_limit_is_kept_from_the_first_reply_on(open_door: Open, server: FakeServer) -> None:
    server.limit(600, burst=4, announced=True)
    start = time.monotonic()
    assert kinds(submit(open_door(), 25)) == ["ok"] * 25
    assert 1.5 <= time.monotonic() - start <= 10
    assert server.count - server.answered <= 2


@pytest.mark.parametrize("fault", [Fault("status", 500), Fault("hang_up"), Fault("hang")], ids=lambda f: f.kind)
def test_an_outage_is_waited_for(open_door: Open, server: FakeServer, fault: Fault) -> None:
    door = open_door(timeout=0.3, concurrency=8)
    assert kinds(submit(door, 10)) == ["ok"] * 10
    server.break_down(fault)
    futures = submit(door, 40, 10)
    time.sleep(1.0)
    during = server.count - 10
    server.forgive()
    assert kinds(futures) == ["ok"] * 40
    assert during < 60, "an outage is probed, not stormed"


def check_given_up(door: Door, server: FakeServer, fault: Fault, give_up_after: float, within: float) -> None:
    assert kinds(submit(door, 10)) == ["ok"] * 10
    server.break_down(fault)
    start = time.monotonic()
    outcomes = kinds(submit(door, 100, 10))
    assert give_up_after * 0.9 <= time.monotonic() - start <= give_up_after + within
    assert outcomes.count("stopped") >= 80
    assert "ok" not in outcomes


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault("status", 503), Fault("hang_up"), Fault("hang")], ids=lambda f: f.kind)
def test_a_lasting_outage_ends_the_run(
    open_door: Open, server: FakeServer, ledger: Ledger, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "GRACE", 0.5)
    door = open_door(timeout=0.5, give_up_after=2.0)
    check_given_up(door, server, fault, 2.0, within=3.0)
    states = {row["state"] for row in ledger.read("SELECT state FROM calls")}
    assert states == {"done", "failed"}


@pytest.mark.slow
def test_a_lasting_outage_ends_the_run_within_60_seconds(open_door: Open, server: FakeServer) -> None:
    check_given_up(open_door(timeout=120.0, give_up_after=20.0), server, Fault("status", 503), 20.0, within=60.0)


def test_a_straggler_is_executed_once_and_cut_at_the_timeout(open_door: Open, server: FakeServer) -> None:
    door = open_door(timeout=1.5)
    assert kinds(submit(door, 5)) == ["ok"] * 5
    server.inject(Fault("slow", seconds=600))
    start = time.monotonic()
    straggler = submit(door, 1, 5)
    while server.count < 6:
        time.sleep(0.01)
    assert kinds(submit(door, 50, 6)) == ["ok"] * 50
    assert kinds(straggler) == ["timeout"]
    assert abs(time.monotonic() - start - 1.5) <= 1.0
    asked = [body for body in server.requests if text_of(body["messages"][-1]) == "call 5"]
    assert len(asked) == 1
    deadline = time.monotonic() + 5
    while not server.abandoned and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.abandoned == 1, "the server is told that nobody waits any more"


@pytest.mark.parametrize("calls", [50, pytest.param(150, marks=pytest.mark.slow)])
def test_faults_of_all_kinds_end_in_the_same_answers(open_door: Open, server: FakeServer, calls: int) -> None:
    door = open_door(timeout=1.0, retries=8)
    server.gamble(Chance(SEED, share=0.3))
    futures = submit(door, calls)
    assert kinds(futures) == ["ok"] * calls, f"seed {SEED}"
    assert [future.result().message.text for future in futures] == [f"CALL {number}" for number in range(calls)]
    assert calls < server.count <= 1.5 * calls, f"seed {SEED}"


@pytest.mark.parametrize("kind", ["deep", "huge_usage"])
def test_a_reply_that_cannot_be_written_down_is_asked_for_again(
    open_door: Open, server: FakeServer, ledger: Ledger, kind: Any
) -> None:
    server.inject(Fault(kind))
    door = open_door()
    assert kinds(submit(door, 1)) == ["ok"]
    assert server.count == 2
    row = ledger.read("SELECT state, attempts, input_tokens, output_tokens FROM calls")[0]
    assert (row["state"], row["attempts"]) == ("done", 2)
    # The first attempt may have been charged: it is booked at the most that it can have cost, not at what it claimed.
    assert 0 < row["input_tokens"] + row["output_tokens"] < 10_000
