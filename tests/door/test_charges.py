from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from dspy.lm15 import FunctionTool, Message, Request, Response
from dspy.utils import exceptions as dspy_errors

from optimizer.config.schema import BudgetConfig
from optimizer.door.budget import Budget
from optimizer.door.charges import TEMPLATE, TOOLS, Charge, maybe_charged, most_of
from optimizer.door.door import Door, tag_of_call
from optimizer.door.failures import classify
from optimizer.errors import BudgetSpent
from optimizer.ledger.calls import CallTag
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import usage_by_role, usage_in
from optimizer.models.prices import Price
from optimizer.system.dspy_private import request_to_dict
from optimizer.types import Phase, Usage

from .conftest import FakeEndpoint, FakeWire, MakeDoor, request

PRICE = Price(0.5, 2.0)
TAG = CallTag("task", "search", 0)


@pytest.mark.parametrize("text", ["hello", "你好世界" * 50, "👩‍👩‍👧‍👦" * 40, "ﷺ", "\x00\x01", '"\\\n' * 30, "a" * 4000])
def test_a_request_is_bounded_by_its_bytes_in_any_script(text: str) -> None:
    most = most_of(request_to_dict(request(text)), Price())
    assert most.input_tokens >= len(text.encode()) + TEMPLATE
    assert most.input_tokens < 6 * len(text.encode()) + 400
    assert most.output_tokens == 10


def test_everything_that_is_sent_counts() -> None:
    plain = most_of(request_to_dict(request()), Price()).input_tokens
    schema = {"type": "json_schema", "name": "answer", "schema": {"title": "x" * 500}}
    assert most_of(request_to_dict(request(response_format=schema)), Price()).input_tokens > plain + 500
    tool = FunctionTool(name="f", description="y" * 300, parameters={"type": "object", "properties": {}})
    with_tool = Request("m", (Message.user("hello"),), system="z" * 200, tools=(tool,))
    assert most_of(request_to_dict(with_tool), Price()).input_tokens > plain + 500 + TOOLS


def test_an_answer_without_a_limit_is_as_long_as_the_model_writes() -> None:
    assert most_of(request_to_dict(request(max_tokens=None)), Price(longest=777)).output_tokens == 777


def test_the_bound_is_priced_at_the_dearest_way_to_book_an_input_token() -> None:
    most = most_of(request_to_dict(request()), Price(0.5, 2.0, cached=0.1, written=0.75))
    assert most.usd == pytest.approx(0.75 * most.input_tokens + 20.0)


@pytest.mark.parametrize(
    ("problem", "charged"),
    [
        (TimeoutError(), True),
        (dspy_errors.LMTimeoutError("slow"), True),
        (dspy_errors.LMTransportError("cut"), True),
        (dspy_errors.LMUnexpectedError("no JSON"), True),
        (dspy_errors.LMServerError("busy", status=503), False),
        (dspy_errors.LMServerError("gateway gave up", status=504), True),
        (dspy_errors.LMRateLimitError("slow down", status=429), False),
        (dspy_errors.LMAuthError("who are you"), False),
        (dspy_errors.LMInvalidRequestError("bad"), False),
    ],
)
def test_what_may_have_been_charged(problem: Exception, charged: bool) -> None:
    assert maybe_charged(problem, classify(problem).kind) is charged


def test_a_request_that_never_left_costs_nothing() -> None:
    refused = dspy_errors.LMTransportError("cannot connect")
    refused.__cause__ = ConnectionRefusedError()
    assert not maybe_charged(refused, "transport")


def settled(lost: int, answered: bool, limits: Any = None) -> tuple[Budget, Usage]:
    """Run one call with `lost` attempts that may have been charged."""
    budget = Budget(limits or BudgetConfig(usd=1000.0))
    charge = Charge(budget, TAG, PRICE, PRICE.most(100, 10))
    asyncio.run(charge.reserve())
    for _ in range(lost):
        charge.lose(TimeoutError(), "timeout")
        assert not answered or charge.renew()
    return budget, charge.settle(Usage(1, 0, 20, 0, 3, 16.0), 0.1) if answered else charge.fail()


def test_a_clean_call_is_booked_at_what_it_cost() -> None:
    budget, paid = settled(0, answered=True)
    assert paid == Usage(1, 0, 20, 0, 3, 16.0)
    assert budget.used()["usd"][0] == 16.0


def test_lost_attempts_are_booked_at_the_same_input_and_the_longest_answer() -> None:
    budget, paid = settled(2, answered=True)
    assert paid == Usage(1, 0, 20 + 2 * 20, 0, 3 + 2 * 10, 16.0 + 2 * (10.0 + 20.0))
    assert budget.used()["usd"][0] == paid.usd
    assert budget._held == pytest.approx({"calls": 0.0, "tokens": 0.0, "usd": 0.0})


def test_a_call_without_an_answer_is_booked_at_its_bound() -> None:
    budget, paid = settled(1, answered=False)
    assert paid == Usage(0, 0, 100, 0, 10, 70.0)
    assert budget.used()["usd"][0] == 70.0
    assert budget._spent["calls"] == 0.0


def test_an_answer_that_cannot_be_used_is_booked_at_its_own_bill() -> None:
    budget = Budget(BudgetConfig(usd=1000.0))
    charge = Charge(budget, TAG, PRICE, PRICE.most(100, 10))
    asyncio.run(charge.reserve())
    charge.waste(Usage(1, 0, 20, 0, 4, 18.0))
    assert charge.renew()
    assert budget._held["usd"] == 140.0
    assert charge.settle(Usage(1, 0, 20, 0, 3, 16.0), 0.1) == Usage(1, 0, 40, 0, 7, 34.0)
    assert budget.used()["usd"][0] == 34.0


def test_a_kill_after_a_lost_attempt_leaves_both_booked_until_the_call_is_answered(
    make_door: MakeDoor, ledger: Ledger
) -> None:
    most = most_of(request_to_dict(request()), PRICE)
    repeating = threading.Event()
    cut = FakeWire([dspy_errors.LMTransportError("cut"), "too late"])
    cut.before = lambda: (setattr(cut, "delay", 60.0), repeating.set()) if cut.calls else None  # type: ignore[assignment]
    first = make_door(FakeEndpoint(cut), price=PRICE)
    first.submit("task", request())
    assert repeating.wait(10)
    first.close()
    booked = usage_in(ledger, "search")
    assert (booked.input_tokens, booked.output_tokens, booked.usd) == (
        2 * most.input_tokens,
        2 * most.output_tokens,
        pytest.approx(2 * most.usd),
    )
    second = make_door(FakeEndpoint(), price=PRICE)
    second.budget.begin(ledger, 0, 1)
    second.submit("task", request()).result(10)
    paid = usage_in(ledger, "search")
    assert (paid.calls, paid.input_tokens, paid.output_tokens) == (1, 3 * 7, 3 + 2 * 10)
    assert second.budget._spent["usd"] == pytest.approx(paid.usd)


def ask_in(phase: Phase, door: Door) -> Future[Response]:
    token = tag_of_call.set(CallTag("task", phase))
    try:
        return door.submit("task", request())
    finally:
        tag_of_call.reset(token)


@pytest.mark.parametrize(("lost_in", "asked_in"), [("search", "test"), ("test", "search")])
def test_what_the_test_lost_does_not_count_in_the_search_nor_the_other_way(
    make_door: MakeDoor, ledger: Ledger, lost_in: Phase, asked_in: Phase
) -> None:
    """An example of both splits: its call was in flight at a kill, and is answered in the other phase."""
    wire = FakeWire(delay=30)
    began = threading.Event()
    wire.before = began.set
    first = make_door(FakeEndpoint(wire), price=PRICE)
    ask_in(lost_in, first)
    assert began.wait(10)
    first.close()
    second = make_door(FakeEndpoint(), price=PRICE, tokens=10_000, usd=1e6)
    second.budget.begin(ledger, 0, 1)
    ask_in(asked_in, second).result(10)
    search, test = usage_in(ledger, "search"), usage_in(ledger, "test")
    used = second.budget.used()
    assert used["tokens"][0] == search.tokens > 0
    assert used["usd"][0] == pytest.approx(search.usd + test.usd)


def test_failures_that_cost_nothing_need_no_further_room() -> None:
    budget = Budget(BudgetConfig(usd=70.0))
    charge = Charge(budget, TAG, PRICE, PRICE.most(100, 10))
    asyncio.run(charge.reserve())
    charge.lose(dspy_errors.LMServerError("busy"), "server")
    assert charge.renew()
    charge.lose(TimeoutError(), "timeout")
    assert not charge.renew()
    assert charge.fail().usd == charge.fail().usd == 70.0
    assert budget.used()["usd"] == (70.0, 70.0)


def test_the_first_call_under_dollars_is_repeated_like_any_other() -> None:
    """It goes alone, for what the test will cost is not known yet; it must not wait for itself."""
    budget = Budget(BudgetConfig(usd=1000.0))
    budget.set_aside(2)
    first, second = (Charge(budget, TAG, PRICE, PRICE.most(100, 10)) for _ in range(2))
    asyncio.run(first.reserve())
    first.lose(TimeoutError(), "timeout")
    assert first.renew()
    assert budget.hold(TAG, second.most) is not None, "another call waits"


def test_a_small_token_budget_is_used_to_its_last_bound(make_door: MakeDoor, ledger: Ledger) -> None:
    """At 16 in flight the bounds exceed the budget tenfold; they take turns instead of ending the search."""
    bound = most_of(request_to_dict(request("00")), Price()).tokens
    endpoint = FakeEndpoint(FakeWire(delay=0.002))
    door = make_door(endpoint, tokens=2 * bound)
    futures = [door.submit("task", request(f"{n:02}")) for n in range(60)]
    refused = [future.exception(20) for future in futures]
    spent = usage_by_role(ledger, "search")["task"].tokens
    assert 2 * bound - bound < spent <= 2 * bound
    assert spent == 10 * refused.count(None)
    assert {type(problem) for problem in refused} == {BudgetSpent, type(None)}


def test_a_retry_that_the_budget_has_no_room_for_is_not_made(make_door: MakeDoor, ledger: Ledger) -> None:
    wire = FakeWire([TimeoutError(), "late"])
    most = most_of(request_to_dict(request()), PRICE)
    door = make_door(FakeEndpoint(wire), price=PRICE, usd=1.5 * most.usd)
    assert door.submit("task", request()).exception(10) is not None
    assert len(wire.calls) == 1
    assert usage_by_role(ledger, "search")["task"].usd == pytest.approx(most.usd)
    assert door.budget.used()["usd"][0] == pytest.approx(most.usd)


def test_a_call_cut_by_the_end_of_the_job_is_booked_and_told(make_door: MakeDoor, ledger: Ledger) -> None:
    door = make_door(FakeEndpoint(FakeWire(delay=30)), price=PRICE, seconds=1.0)
    assert isinstance(door.submit("task", request()).exception(10), BudgetSpent)
    row = ledger.read("SELECT state, usd FROM calls")[0]
    assert tuple(row) == ("failed", pytest.approx(most_of(request_to_dict(request()), PRICE).usd))


def test_a_call_in_flight_is_booked_at_its_bound_until_it_ends(make_door: MakeDoor, ledger: Ledger) -> None:
    seen: list[float] = []
    wire = FakeWire()
    wire.before = lambda: seen.append(usage_by_role(ledger, "search")["task"].usd)
    make_door(FakeEndpoint(wire), price=PRICE).submit("task", request()).result(10)
    assert seen == [pytest.approx(most_of(request_to_dict(request()), PRICE).usd)]
    assert usage_by_role(ledger, "search")["task"].usd == PRICE.of(7, 3)
