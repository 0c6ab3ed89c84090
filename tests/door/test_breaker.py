from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from optimizer.door import breaker as module
from optimizer.door.breaker import KNOWN_AFTER, TRIPS_AFTER, Breaker
from optimizer.errors import CallError, StoppedByFailures
from optimizer.types import FailureKind


def failure(kind: FailureKind = "server", retry_after: float | None = None) -> CallError:
    return CallError(kind, "down", retry_after)


def proven(give_up_after: float = 300.0) -> Breaker:
    made = Breaker("m", give_up_after)
    for _ in range(KNOWN_AFTER):
        made.answered()
    return made


def trip(breaker: Breaker) -> None:
    for _ in range(TRIPS_AFTER):
        breaker.failed(failure(), time.monotonic())


async def most_inside(breaker: Breaker, callers: int, seconds: float = 0.05) -> int:
    """Return how many of `callers` are let in at the same time, none of which learns anything."""
    inside = most = 0

    async def call() -> None:
        nonlocal inside, most
        async with breaker.gate():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(10)

    tasks = [asyncio.ensure_future(call()) for _ in range(callers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return most


def test_two_calls_are_in_flight_until_the_first_answer() -> None:
    async def body() -> None:
        breaker = Breaker("m", 300)
        assert await most_inside(breaker, 64) == 2
        breaker.answered()
        assert await most_inside(breaker, 64) == 64

    asyncio.run(body())


def test_a_refusal_of_one_call_proves_the_endpoint_and_feeds_no_clock() -> None:
    async def body() -> None:
        for kind in ("context_too_long", "content_filter", "invalid_request"):
            breaker = Breaker("m", 0.001)
            for _ in range(50):
                breaker.failed(failure(kind), time.monotonic() - 1)  # type: ignore[arg-type]
            breaker.check()
            assert await most_inside(breaker, 8) == 8

    asyncio.run(body())


@pytest.mark.parametrize("kind", ["server", "transport", "timeout"])
def test_an_outage_lets_one_probe_through_at_growing_intervals(
    kind: FailureKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PROBE", 0.05)
    monkeypatch.setattr(module, "LONGEST_PROBE", 0.2)

    async def body() -> list[float]:
        breaker, times = proven(), []
        for _ in range(TRIPS_AFTER):
            breaker.failed(failure(kind), time.monotonic())
        times.append(time.monotonic())

        async def call() -> None:
            while True:
                async with breaker.gate():
                    times.append(time.monotonic())
                    breaker.failed(failure(kind), time.monotonic())

        tasks = [asyncio.ensure_future(call()) for _ in range(30)]
        await asyncio.sleep(0.9)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return times

    times = asyncio.run(body())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    for gap, least in zip(gaps, [0.05, 0.1, 0.2, 0.2], strict=False):
        assert gap >= least - 0.005, gaps
    assert 3 <= len(gaps) <= 6


def test_it_opens_again_with_the_first_answer() -> None:
    async def body() -> None:
        breaker = proven()
        trip(breaker)
        assert await most_inside(breaker, 8, 0.01) == 0
        breaker.answered()
        assert await most_inside(breaker, 8) == 8

    asyncio.run(body())


def test_failures_with_answers_between_trip_nothing() -> None:
    async def body() -> None:
        breaker = proven()
        for _ in range(20):
            for _ in range(TRIPS_AFTER - 1):
                breaker.failed(failure(), time.monotonic())
            breaker.answered()
        assert await most_inside(breaker, 8) == 8

    asyncio.run(body())


def test_who_waits_is_told_when_it_is_given_up() -> None:
    async def body() -> float:
        breaker = proven(give_up_after=0.2)
        trip(breaker)
        start = time.monotonic()
        breaker._probe_at = float("inf")
        with pytest.raises(StoppedByFailures, match="nothing but failures"):
            async with breaker.gate():
                pass
        return time.monotonic() - start

    assert 0.15 <= asyncio.run(body()) <= 2


@pytest.mark.parametrize("kind", ["authentication", "unknown_model"])
def test_a_hopeless_failure_stops_who_waits(kind: FailureKind) -> None:
    async def body() -> None:
        breaker = Breaker("m", 300)

        async def call() -> None:
            async with breaker.gate():
                await asyncio.sleep(0.02)
                breaker.failed(failure(kind), time.monotonic())

        outcomes = await asyncio.gather(*(call() for _ in range(64)), return_exceptions=True)
        assert sum(isinstance(outcome, StoppedByFailures) for outcome in outcomes) == 62

    asyncio.run(body())


def test_more_patience_than_the_run_has_stops_it() -> None:
    breaker = proven(give_up_after=60)
    breaker.failed(failure("rate_limit", retry_after=3600), time.monotonic())
    with pytest.raises(StoppedByFailures, match="left alone for 3600 s"):
        breaker.check()


def test_one_straggler_longer_than_the_patience_stops_nothing() -> None:
    breaker = proven(give_up_after=1)
    breaker._last_answer -= 1000
    breaker.failed(failure("timeout"), time.monotonic() - 600)
    breaker.check()


def test_a_timeout_is_the_endpoints_only_where_others_suffer_too() -> None:
    began = time.monotonic()
    healthy = proven()
    healthy.failed(failure("timeout"), began)
    assert not healthy.blames_endpoint(began)
    limited = proven()
    limited.failed(failure("rate_limit"), began)
    assert not limited.blames_endpoint(began)
    ill = proven()
    ill.failed(failure("transport"), began)
    assert ill.blames_endpoint(began)
    hanging = proven()
    began = time.monotonic()
    hanging.failed(failure("timeout"), began)
    hanging.failed(failure("timeout"), began)
    assert hanging.blames_endpoint(began + 0.001)


def test_a_timeout_is_the_endpoints_until_that_is_known_to_be_well() -> None:
    breaker = Breaker("m", 300)
    for _ in range(KNOWN_AFTER):
        assert breaker.blames_endpoint(time.monotonic())
        breaker.answered()
    assert not breaker.blames_endpoint(time.monotonic())


def test_the_last_attempt_ends_soon_after_the_end() -> None:
    breaker = proven(give_up_after=10)
    assert breaker.patience(120) == 120
    breaker.failed(failure(), time.monotonic())
    assert 30 < breaker.patience(120) <= 41


def test_two_timeouts_within_a_minute_point_at_the_endpoint() -> None:
    breaker = proven()
    began = time.monotonic()
    breaker.failed(failure("timeout"), began)
    breaker.answered()
    assert not breaker.blames_endpoint(began)
    breaker.failed(failure("timeout"), began)
    breaker.answered()
    assert breaker.blames_endpoint(began)


@pytest.mark.parametrize(("kind", "blamed"), [("transport", True), ("rate_limit", False)])
def test_a_timeout_waits_for_signs_while_others_are_in_flight(kind: FailureKind, blamed: bool) -> None:
    async def body() -> bool:
        breaker = proven()
        began = time.monotonic()

        async def other() -> None:
            async with breaker.gate():
                await asyncio.sleep(0.05)
                breaker.failed(failure(kind), began)

        flight = asyncio.ensure_future(other())
        await asyncio.sleep(0)
        breaker.answered()
        breaker.failed(failure("timeout"), began)
        breaker.answered()
        found = await breaker.awaits_blame(began, 10)
        await flight
        return found

    began = time.monotonic()
    assert asyncio.run(body()) is blamed
    assert time.monotonic() - began < 5  # nobody is in flight any more: no sign can come
