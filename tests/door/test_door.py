from __future__ import annotations

import asyncio
import contextvars
import gc
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Request, Response
from dspy.utils import exceptions as dspy_errors

from optimizer.config.schema import Privacy
from optimizer.door.breaker import KNOWN_AFTER
from optimizer.door.charges import most_of
from optimizer.door.door import Door, collected_answers, repetition_of_call, tag_of_call
from optimizer.errors import BudgetSpent, CallError, LedgerError, StoppedByFailures
from optimizer.ledger import ledger as ledger_module
from optimizer.ledger.calls import CallTag, finish_call
from optimizer.ledger.ledger import Ledger, Write
from optimizer.ledger.shared import SharedCache
from optimizer.ledger.spend import usage_by_role
from optimizer.models.masks import Hidden, Masks
from optimizer.models.prices import Price
from optimizer.system.dspy_private import request_to_dict
from optimizer.types import Usage

from .conftest import FakeEndpoint, FakeWire, MakeDoor, request

# Tokens that the worst case of one call takes; with what an answer takes it is less than that of two.
ONE_CALL = most_of(request_to_dict(request("19")), Price()).tokens + 20


def ask(door: Door, asked: Request | None = None, role: Any = "task") -> Response:
    return door.submit(role, asked or request()).result(10)


def states(ledger: Ledger) -> list[str]:
    return [row["state"] for row in ledger.read("SELECT state FROM calls ORDER BY id")]


def test_an_answer_comes_back_and_is_recorded(make_door: MakeDoor, ledger: Ledger) -> None:
    door = make_door(FakeEndpoint(), price=Price(0.5, 2.0))
    assert ask(door).message.text == "hi"
    assert states(ledger) == ["done"]
    assert usage_by_role(ledger, "search") == {"task": Usage(1, 0, 7, 0, 3, 9.5)}


def test_the_second_identical_call_is_answered_by_the_ledger(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint(FakeWire(["first", "second"]))
    door = make_door(endpoint, calls=100)
    assert [ask(door).message.text for _ in range(3)] == ["first", "first", "first"]
    assert len(endpoint.wire.calls) == 1
    assert usage_by_role(ledger, "search")["task"].cached_calls == 2
    assert door.budget.used()["calls"] == (1.0, 100.0)


def test_who_counts_is_told_the_price_of_every_answer_whoever_paid_for_it(make_door: MakeDoor, tmp_path: Path) -> None:
    price, shared = Price(0.5, 2.0), SharedCache(tmp_path / "answers.db", lambda text: None)
    with collected_answers() as paid:
        ask(make_door(FakeEndpoint(), price=price, shared=shared))
    with collected_answers() as remembered:
        ask(make_door(FakeEndpoint(), price=price))
    with closing(Ledger(tmp_path / "other.db")) as other, collected_answers() as recalled:
        door = make_door(FakeEndpoint(), price=price, shared=shared, ledger=other)
        ask(door)
        door.close()
    shared.close()
    used = paid[0].response.usage
    assert paid[0].usd == 0.5 * used.input_tokens + 2.0 * used.output_tokens > 0
    assert [one.usd for one in (*remembered, *recalled)] == [paid[0].usd] * 2


def test_who_counts_is_told_the_seconds_of_an_answer_but_not_of_one_from_the_cache(
    make_door: MakeDoor, tmp_path: Path
) -> None:
    shared = SharedCache(tmp_path / "answers.db", lambda text: None)
    slow = FakeEndpoint(FakeWire([dspy_errors.LMServerError("down"), "a"], delay=0.1))
    begun = time.monotonic()
    with collected_answers() as paid:
        ask(make_door(slow, shared=shared))
    whole_call = time.monotonic() - begun
    with collected_answers() as remembered:
        ask(make_door(FakeEndpoint()))
    with closing(Ledger(tmp_path / "other.db")) as other, collected_answers() as recalled:
        door = make_door(FakeEndpoint(), shared=shared, ledger=other)
        ask(door)
        door.close()
        (whole,) = other.read("SELECT response FROM calls")
    shared.close()
    # One attempt failed before it, and there was a wait: neither is the model's time for the answer.
    assert 0.1 <= paid[0].seconds <= whole_call - 0.1  # type: ignore[operator]
    assert remembered[0].seconds == paid[0].seconds
    assert recalled[0].seconds is None
    assert "seconds" not in whole["response"]


def test_who_counts_is_told_the_tokens_of_every_answer_whoever_paid_for_it(make_door: MakeDoor, ledger: Ledger) -> None:
    door = make_door(FakeEndpoint(FakeWire(delay=0.02)), calls=100)
    with collected_answers() as first:
        ask(door)
    with collected_answers() as again:
        futures = [door.submit("task", request("other")) for _ in range(3)]
        ask(door)
        assert {future.result(10).message.text for future in futures} == {"hi"}
    ask(door, request("nobody counts"))
    assert ([one.tokens for one in first], [one.tokens for one in again]) == ([10], [10] * 4)
    assert door.budget.calls_left() == 97.0


def test_other_calls_are_answered_while_a_long_request_is_masked(
    make_door: MakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, hide = threading.Event(), Masks.hide

    def slow(masks: Masks, asked: Request) -> tuple[Request, Hidden]:
        assert "long" not in str(asked.messages[0].text) or answered.wait(10)
        return hide(masks, asked)

    monkeypatch.setattr(Masks, "hide", slow)
    endpoint = FakeEndpoint(FakeWire(["for <EMAIL_1>"]))
    door = make_door(endpoint, privacy=Privacy(redact=("email",)))
    long = door.submit("task", request("long ann@example.org"))
    assert ask(door, request("bob@example.org")).message.text == "for bob@example.org"
    answered.set()
    assert long.result(10).message.text == "for ann@example.org"
    assert "example.org" not in str(endpoint.wire.calls)


def test_a_new_door_on_the_same_ledger_pays_nothing_twice(make_door: MakeDoor) -> None:
    first = make_door(FakeEndpoint())
    ask(first)
    first.close()
    endpoint = FakeEndpoint(FakeWire(["other"]))
    assert ask(make_door(endpoint)).message.text == "hi"
    assert endpoint.wire.calls == []


def test_identical_calls_at_once_are_one_call(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint(FakeWire(delay=0.1))
    door = make_door(endpoint)
    futures = [door.submit("task", request()) for _ in range(20)]
    assert {future.result(10).message.text for future in futures} == {"hi"}
    assert len(endpoint.wire.calls) == 1
    assert usage_by_role(ledger, "search")["task"] == Usage(1, 19, 7, 0, 3, 0.0)


def test_a_failure_of_a_shared_call_is_everybodys(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire([dspy_errors.LMInvalidRequestError("bad")], delay=0.05))
    door = make_door(endpoint)
    futures = [door.submit("task", request()) for _ in range(5)]
    assert [type(future.exception(10)) for future in futures] == [CallError] * 5
    assert len(endpoint.wire.calls) == 1


@pytest.mark.parametrize("other", [request("other"), request(temperature=0.5), request(max_tokens=11), request(seed=1)])
def test_another_text_or_sampling_is_another_call(make_door: MakeDoor, other: Request) -> None:
    endpoint = FakeEndpoint()
    door = make_door(endpoint)
    ask(door)
    ask(door, other)
    assert len(endpoint.wire.calls) == 2


def test_another_endpoint_is_another_call(make_door: MakeDoor) -> None:
    one, two = FakeEndpoint(), FakeEndpoint(identity="fake/m@there")
    door = make_door(one, two)
    ask(door)
    ask(door, role="prompt")
    assert (len(one.wire.calls), len(two.wire.calls)) == (1, 1)


def test_the_intent_is_on_disk_before_the_call(make_door: MakeDoor, ledger: Ledger) -> None:
    seen: list[list[str]] = []
    wire = FakeWire()
    wire.before = lambda: seen.append(states(ledger))
    ask(make_door(FakeEndpoint(wire)))
    assert seen == [["intent"]]
    assert states(ledger) == ["done"]


@pytest.mark.parametrize("limits", [{}, {"tokens": ONE_CALL}], ids=["free", "waiting for the budget"])
def test_no_call_is_begun_once_an_answer_could_not_be_written(
    make_door: MakeDoor, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    """A disk that is all but full takes the small row of an intent, and not the answer."""
    real = ledger_module.commit

    def commit(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
        answers = [write for write in writes if "response" in write.sql.partition("WHERE")[0].partition("SET")[2]]
        for write in answers:
            write.future.set_exception(LedgerError("the ledger cannot be written", "Free some disk space."))
        real(connection, [write for write in writes if write not in answers])

    monkeypatch.setattr(ledger_module, "commit", commit)
    wire = FakeWire(delay=0.01)
    door = make_door(FakeEndpoint(wire, concurrency=2), **limits)
    problems = [future.exception(10) for future in [door.submit("task", request(f"{n}")) for n in range(20)]]
    assert {type(problem) for problem in problems} == {LedgerError}
    assert len(wire.calls) <= (1 if limits else 2)
    assert len(states(ledger)) <= 2


@pytest.mark.parametrize(
    "problem",
    [
        dspy_errors.LMServerError("down"),
        dspy_errors.LMTransportError("cut"),
        dspy_errors.LMTimeoutError("slow", status=504),
        dspy_errors.LMProviderError("not JSON"),
        dspy_errors.LMRateLimitError("busy"),
    ],
)
def test_passing_failures_are_retried(make_door: MakeDoor, ledger: Ledger, problem: Exception) -> None:
    endpoint = FakeEndpoint(FakeWire([problem, problem, "at last"]))
    door = make_door(endpoint, retries=2, calls=100)
    assert ask(door).message.text == "at last"
    assert len(endpoint.wire.calls) == 3
    row = ledger.read("SELECT state, attempts FROM calls")[0]
    assert tuple(row) == ("done", 3)
    assert door.budget.used()["calls"] == (1.0, 100.0)


def test_a_failure_for_good_is_recorded_raised_and_costs_nothing(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint(FakeWire([dspy_errors.LMServerError("down")]))
    door = make_door(endpoint, retries=2, calls=100)
    with pytest.raises(CallError) as caught:
        ask(door)
    assert (caught.value.kind, caught.value.what) == ("server", "down")
    assert len(endpoint.wire.calls) == 3
    row = ledger.read("SELECT state, attempts, failure FROM calls")[0]
    assert tuple(row) == ("failed", 3, '{"kind": "server", "message": "down"}')
    assert door.budget.used()["calls"] == (0.0, 100.0)
    assert door.budget._held["calls"] == 0.0


def test_a_failed_call_is_not_cached(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire([dspy_errors.LMInvalidRequestError("bad"), "good"]))
    door = make_door(endpoint)
    with pytest.raises(CallError):
        ask(door)
    assert ask(door).message.text == "good"


@pytest.mark.parametrize(
    "problem", [dspy_errors.LMInvalidRequestError("bad"), dspy_errors.ContextWindowExceededError(model="m")]
)
def test_lasting_failures_are_not_retried(make_door: MakeDoor, problem: Exception) -> None:
    endpoint = FakeEndpoint(FakeWire([problem]))
    with pytest.raises(CallError):
        ask(make_door(endpoint, retries=4))
    assert len(endpoint.wire.calls) == 1


@pytest.mark.parametrize("problem", [dspy_errors.LMAuthError("wrong key"), dspy_errors.LMUnsupportedModelError("none")])
def test_a_hopeless_failure_stops_the_run_at_once(make_door: MakeDoor, ledger: Ledger, problem: Exception) -> None:
    endpoint = FakeEndpoint(FakeWire([problem]))
    with pytest.raises(StoppedByFailures, match="fake/m: "):
        ask(make_door(endpoint, retries=4))
    assert len(endpoint.wire.calls) == 1
    assert states(ledger) == ["failed"]


def test_nothing_but_failures_for_too_long_stops_the_run(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire([dspy_errors.LMServerError("down")]))
    door = make_door(endpoint, retries=0, give_up_after=0.05)
    with pytest.raises(CallError):
        ask(door, request("a"))
    time.sleep(0.06)
    with pytest.raises(StoppedByFailures, match="nothing but failures"):
        ask(door, request("b"))


def test_one_answer_between_starts_the_clock_anew(make_door: MakeDoor) -> None:
    down = dspy_errors.LMServerError("down")
    door = make_door(FakeEndpoint(FakeWire([down, "up", down])), retries=0, give_up_after=0.05)
    with pytest.raises(CallError):
        ask(door, request("a"))
    time.sleep(0.06)
    ask(door, request("b"))
    with pytest.raises(CallError):
        ask(door, request("c"))


def test_the_providers_delay_is_respected(make_door: MakeDoor) -> None:
    busy = dspy_errors.LMRateLimitError("busy", retry_after=0.2)
    door = make_door(FakeEndpoint(FakeWire([busy, "hi"])))
    start = time.monotonic()
    ask(door)
    assert time.monotonic() - start >= 0.2


def test_a_call_that_hangs_is_cut_and_made_once(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(timeout=0.05)
    door = make_door(endpoint, retries=1)
    for number in range(KNOWN_AFTER):
        ask(door, request(str(number)))
    endpoint.wire.delay = 30
    with pytest.raises(CallError, match=r"no answer in 0\.05 s") as caught:
        ask(door)
    assert caught.value.kind == "timeout"
    assert len(endpoint.wire.calls) == KNOWN_AFTER + 1


def test_a_first_call_that_hangs_is_repeated(make_door: MakeDoor) -> None:
    wire = FakeWire([TimeoutError(), "at last"])
    assert ask(make_door(FakeEndpoint(wire), retries=1)).message.text == "at last"


def test_a_hanging_call_is_repeated_where_the_endpoint_is_in_trouble(make_door: MakeDoor) -> None:
    wire = FakeWire([dspy_errors.LMServerError("down"), TimeoutError(), "at last"])
    assert ask(make_door(FakeEndpoint(wire), retries=2)).message.text == "at last"


def test_an_answer_whose_caller_left_while_it_was_committed_is_not_paid_again(
    make_door: MakeDoor, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*arguments: Any) -> Future[int]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return finish_call(*arguments)

    endpoint = FakeEndpoint()
    door = make_door(endpoint)
    with monkeypatch.context() as patched:
        patched.setattr("optimizer.door.door.finish_call", leave)
        with pytest.raises(CancelledError):
            ask(door)
    ledger.put_meta("later", 1)  # it is written after what was queued before
    assert ask(door).message.text == "hi"
    assert len(endpoint.wire.calls) == 1


def test_a_bug_is_raised_as_it_is_and_not_repeated(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire([KeyError("oops")]))
    with pytest.raises(KeyError):
        ask(make_door(endpoint))
    assert len(endpoint.wire.calls) == 1


def test_a_spent_budget_refuses_before_the_call(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint()
    door = make_door(endpoint, calls=2)
    ask(door, request("a"))
    ask(door, request("b"))
    with pytest.raises(BudgetSpent) as caught:
        ask(door, request("c"))
    assert caught.value.name == "calls"
    assert len(endpoint.wire.calls) == 2
    assert states(ledger) == ["done", "done"]
    assert ask(door, request("a")).message.text == "hi"


def test_the_budget_holds_at_any_concurrency(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire(delay=0.01), concurrency=50)
    door = make_door(endpoint, calls=7)
    futures = [door.submit("task", request(str(n))) for n in range(50)]
    outcomes = [future.exception(10) for future in futures]
    assert len(endpoint.wire.calls) == 7
    assert outcomes.count(None) == 7
    assert sum(isinstance(outcome, BudgetSpent) for outcome in outcomes) == 43


def test_a_small_token_budget_admits_no_long_answer(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint()
    with pytest.raises(BudgetSpent) as caught:
        ask(make_door(endpoint, tokens=100), request(max_tokens=200))
    assert caught.value.name == "tokens"
    assert endpoint.wire.calls == []


def test_no_more_calls_in_flight_than_the_endpoint_takes(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire(delay=0.01), concurrency=3)
    door = make_door(endpoint)
    for future in [door.submit("task", request(str(n))) for n in range(20)]:
        future.result(10)
    assert endpoint.wire.most == 3


def test_two_roles_of_one_endpoint_share_its_places(make_door: MakeDoor) -> None:
    wire = FakeWire(delay=0.02)
    door = make_door(FakeEndpoint(wire, concurrency=2), FakeEndpoint(wire, concurrency=2))
    roles: list[Any] = ["task", "prompt"] * 5
    for future in [door.submit(role, request(str(n))) for n, role in enumerate(roles)]:
        future.result(10)
    assert wire.most == 2


def test_a_call_is_booked_on_its_tag_and_its_role(make_door: MakeDoor, ledger: Ledger) -> None:
    door = make_door(FakeEndpoint(), FakeEndpoint())
    tag_of_call_context = contextvars.copy_context()

    def tagged() -> Future[Response]:
        tag_of_call.set(CallTag("task", "test", 7, "ab"))
        return door.submit("prompt", request())

    tag_of_call_context.run(tagged).result(10)
    assert tuple(ledger.read("SELECT role, phase, trial, example FROM calls")[0]) == ("prompt", "test", 7, "ab")


def test_close_cancels_what_is_in_flight(make_door: MakeDoor, ledger: Ledger) -> None:
    endpoint = FakeEndpoint(FakeWire(delay=60))
    door = make_door(endpoint, calls=10)
    future = door.submit("task", request())
    while not endpoint.wire.calls:
        time.sleep(0.01)
    start = time.monotonic()
    door.close()
    assert time.monotonic() - start < 5
    with pytest.raises(CancelledError):
        future.result(1)
    assert endpoint.wire.closed
    assert states(ledger) == ["intent"]
    assert door.budget._held["calls"] == 0.0


def test_cancelling_the_future_gives_the_place_and_the_money_back(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire(delay=60), concurrency=1)
    door = make_door(endpoint, calls=1)
    future = door.submit("task", request("a"))
    while not endpoint.wire.calls:
        time.sleep(0.01)
    future.cancel()
    endpoint.wire.delay = 0.0
    deadline = time.monotonic() + 5
    while door.budget._held["calls"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ask(door, request("b")).message.text == "hi"


def test_a_cancelled_leader_does_not_cancel_who_waits_with_it(make_door: MakeDoor) -> None:
    endpoint = FakeEndpoint(FakeWire(delay=0.3))
    door = make_door(endpoint)
    leader, follower = door.submit("task", request()), door.submit("task", request())
    while not endpoint.wire.calls:
        time.sleep(0.01)
    leader.cancel()
    assert follower.result(10).message.text == "hi"


def test_an_unknown_role_is_refused(make_door: MakeDoor) -> None:
    with pytest.raises(KeyError):
        ask(make_door(FakeEndpoint()), role="judge")


def test_calls_can_be_awaited_from_another_loop(make_door: MakeDoor) -> None:
    door = make_door(FakeEndpoint())

    async def several() -> list[Response]:
        return await asyncio.gather(*(asyncio.wrap_future(door.submit("task", request(str(n)))) for n in range(5)))

    assert len(asyncio.run(several())) == 5


@pytest.mark.parametrize(("temperature", "calls"), [(0.0, 1), (0.7, 3)])
def test_each_repetition_is_a_call_of_its_own_where_the_model_samples(
    make_door: MakeDoor, temperature: float, calls: int
) -> None:
    endpoint = FakeEndpoint()
    door = make_door(endpoint)

    def repeated(number: int) -> Response:
        repetition_of_call.set(number)
        return ask(door, request(temperature=temperature))

    for number in (0, 1, 2, 1):
        contextvars.copy_context().run(repeated, number)
    assert len(endpoint.wire.calls) == calls


def test_a_closed_door_leaves_no_log_beside_the_ledger(make_door: MakeDoor, ledger: Ledger) -> None:
    door = make_door(FakeEndpoint())
    ask(door)
    ask(door)  # read from the ledger, in the door's thread
    gc.disable()  # which would mend it later
    try:
        door.close()
        ledger.close()
        assert not ledger.path.with_name("ledger.db-wal").exists()
    finally:
        gc.enable()
