from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config.schema import BudgetConfig
from optimizer.door.budget import Budget, moment, refuse_past
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.ledger.calls import CallTag
from optimizer.types import Usage

NOON = dt.datetime(2026, 5, 4, 12, 0).astimezone().timestamp()


def local(text: str) -> float:
    return dt.datetime.fromisoformat(text).astimezone().timestamp()


SEARCH, TEST = CallTag("task", "search", 0), CallTag("task", "test", 0)


def cost(tokens: int = 5, usd: float = 0.0) -> Usage:
    return Usage(1, 0, tokens, 0, 0, usd)


def committed(budget: Budget, name: str) -> float:
    return budget._spent[name] + budget._held[name]


def take(budget: Budget, most: Usage, tag: CallTag = SEARCH) -> None:
    assert budget.hold(tag, most) is None


def test_the_last_place_is_given_and_the_next_refused() -> None:
    budget = Budget(BudgetConfig(calls=2))
    for _ in range(2):
        take(budget, cost())
        budget.settle(SEARCH, cost(), cost())
    with pytest.raises(BudgetSpent) as caught:
        budget.hold(SEARCH, cost())
    assert caught.value.name == budget.refused == "calls"


@pytest.mark.parametrize(
    ("limits", "most", "name"),
    [
        (BudgetConfig(tokens=10), cost(11), "tokens"),
        (BudgetConfig(usd=1.0), cost(1, 1.5), "usd"),
        (BudgetConfig(calls=1, tokens=1), cost(2), "tokens"),
    ],
)
def test_a_refusal_names_the_limit_and_holds_nothing(limits: BudgetConfig, most: Usage, name: str) -> None:
    budget = Budget(limits)
    with pytest.raises(BudgetSpent) as caught:
        budget.hold(SEARCH, most)
    assert caught.value.name == name
    assert budget._held == {"calls": 0.0, "tokens": 0.0, "usd": 0.0}


def test_who_lacks_only_what_others_hold_waits_for_it() -> None:
    budget = Budget(BudgetConfig(tokens=100))
    take(budget, cost(60))
    waiter = budget.hold(SEARCH, cost(60))
    assert waiter is not None
    assert not waiter.done()
    assert committed(budget, "tokens") == 60
    budget.settle(SEARCH, cost(60), cost(25))
    assert waiter.done()
    take(budget, cost(60))
    budget.settle(SEARCH, cost(60), cost(60))
    with pytest.raises(BudgetSpent):
        budget.hold(SEARCH, cost(60))


def test_settling_replaces_the_reservation_by_what_was_paid() -> None:
    budget = Budget(BudgetConfig(calls=10, tokens=100, usd=1.0))
    take(budget, cost(60, 0.5))
    budget.settle(SEARCH, cost(60, 0.5), Usage(1, 0, 20, 0, 5, 0.125))
    assert budget.used() == {"calls": (1.0, 10.0), "tokens": (25.0, 100.0), "usd": (0.125, 1.0)}


def test_a_call_that_was_not_made_gives_everything_back() -> None:
    budget = Budget(BudgetConfig(calls=1, tokens=10, usd=1.0))
    for _ in range(5):
        take(budget, cost(10, 1.0))
        budget.settle(SEARCH, cost(10, 1.0), Usage())
    assert budget.used() == {"calls": (0.0, 1.0), "tokens": (0.0, 10.0), "usd": (0.0, 1.0)}


def test_the_test_phase_is_not_bounded_by_calls_and_tokens_but_by_dollars() -> None:
    budget = Budget(BudgetConfig(calls=2, tokens=5, usd=1.0))
    for _ in range(5):
        take(budget, cost(100, 0.1), TEST)
        budget.settle(TEST, cost(100, 0.1), cost(100, 0.1))
    assert budget.used()["calls"] == (0.0, 2.0)
    with pytest.raises(BudgetSpent) as caught:
        budget.hold(TEST, cost(1, 0.6))
    assert caught.value.name == "usd"


def test_restoring_counts_what_an_earlier_attempt_paid() -> None:
    budget = Budget(BudgetConfig(calls=10, tokens=1000, usd=3.0))
    budget.restore(Usage(4, 9, 100, 50, 20, 0.5), Usage(7, 0, 900, 0, 900, 0.25))
    assert budget.used() == {"calls": (4.0, 10.0), "tokens": (120.0, 1000.0), "usd": (0.75, 3.0)}


def test_no_limit_no_refusal_and_nothing_to_show() -> None:
    budget = Budget(BudgetConfig())
    for _ in range(100):
        take(budget, cost(10**9, 10**6))
    assert budget.used() == {}


def test_the_dollars_of_the_test_are_out_of_reach_of_the_search() -> None:
    budget = Budget(BudgetConfig(usd=1.0))
    budget.set_aside(10)
    spent = 0
    while True:
        try:
            take(budget, cost(10, 0.04))
        except BudgetSpent:
            break
        budget.settle(SEARCH, cost(10, 0.04), cost(10, 0.02), seconds=0.1)
        spent += 1
    assert spent > 20
    for _ in range(10):
        take(budget, cost(10, 0.04), TEST)
        budget.settle(TEST, cost(10, 0.04), cost(10, 0.02))


def test_the_calls_of_a_judge_are_kept_for_the_test_too() -> None:
    """Half of the test's twenty calls are the judge's, each five times as dear."""
    budget = Budget(BudgetConfig(usd=2.0))
    budget.set_aside(20, judging=0.5)
    judge, judged = replace(SEARCH, role="judge"), replace(TEST, role="judge")
    while True:
        try:
            for tag, usd in ((SEARCH, 0.01), (judge, 0.05)):
                take(budget, cost(10, usd), tag)
                budget.settle(tag, cost(10, usd), cost(10, usd), seconds=0.1)
        except BudgetSpent:
            break
    for _ in range(10):
        for tag, usd in ((TEST, 0.01), (judged, 0.05)):
            take(budget, cost(10, usd), tag)
            budget.settle(tag, cost(10, usd), cost(10, usd))


def test_baselines_never_take_the_search_its_dollars() -> None:
    paid = []
    for baselines in (0, 1000):
        budget = Budget(BudgetConfig(usd=1.0))
        budget.set_aside(10, baselines=baselines)
        paid.append(0)
        while True:
            try:
                take(budget, cost(10, 0.01))
            except BudgetSpent:
                break
            budget.settle(SEARCH, cost(10, 0.01), cost(10, 0.01), seconds=0.1)
            paid[-1] += 1
    assert paid[0] * 0.7 < paid[1] < paid[0] * 0.8


def test_with_dollars_the_first_call_goes_alone_as_it_tells_what_the_test_costs() -> None:
    budget = Budget(BudgetConfig(usd=1.0))
    budget.set_aside(10)
    take(budget, cost(10, 0.01))
    assert budget.hold(SEARCH, cost(10, 0.01)) is not None
    budget.settle(SEARCH, cost(10, 0.01), cost(10, 0.01), seconds=0.1)
    take(budget, cost(10, 0.01))
    take(budget, cost(10, 0.01))


def test_a_prompt_too_dear_to_be_tested_is_not_begun() -> None:
    budget = Budget(BudgetConfig(usd=1.0))
    budget.set_aside(20)
    take(budget, cost(10, 0.02))
    budget.settle(SEARCH, cost(10, 0.02), cost(10, 0.01), seconds=0.1)
    with pytest.raises(BudgetSpent):  # twenty of it would cost a dollar, though this one costs a tenth
        budget.hold(SEARCH, cost(10, 0.1))


def test_the_clock_ends_the_search_and_then_the_test() -> None:
    now = [NOON]
    budget = Budget(BudgetConfig(seconds=10), clock=lambda: now[0])
    take(budget, cost())
    now[0] += 9.9
    take(budget, cost())
    take(budget, cost(), TEST)
    assert budget.used()["seconds"] == (pytest.approx(9.9), 10.0)
    now[0] += 0.1
    for tag in (SEARCH, TEST):
        with pytest.raises(BudgetSpent) as caught:
            budget.hold(tag, cost())
        assert caught.value.name == "time"


def test_the_time_of_the_test_is_kept_free_at_the_concurrency_in_use() -> None:
    now = [NOON]
    budget = Budget(BudgetConfig(seconds=100), clock=lambda: now[0])
    budget.set_aside(calls=40, concurrency=4)
    for trial, seconds in ((0, 1.0), (1, 2.0), (2, 4.0)):
        tag = CallTag("task", "search", trial)
        take(budget, cost(), tag)
        budget.settle(tag, cost(), cost(), seconds=seconds)
    with_baselines = Budget(BudgetConfig(seconds=100), clock=lambda: now[0])
    with_baselines.set_aside(calls=40, concurrency=4, baselines=10)
    with_baselines._forecast._times = budget._forecast._times
    assert with_baselines.time_left("search") == pytest.approx(100 - 1.2 * (5 * (1 + 4) + 3 * 4))
    with_baselines.set_aside(calls=40, concurrency=4, baselines=1000)
    with_baselines._forecast._times = budget._forecast._times
    # However many they are, they leave the search three quarters of what the test leaves.
    assert with_baselines.time_left("search", in_flight=False) == pytest.approx(0.75 * (100 - 38))
    # Five rounds of four for the seed at 1 s and for the slowest trial at 4 s, a fifth more, and two calls to land.
    left = budget.time_left("search", in_flight=False)
    assert left == pytest.approx(100 - 1.2 * 5 * (1 + 4) - 8)
    assert budget.time_left("search") == pytest.approx(left + 8)
    assert budget.time_left("test") == pytest.approx(100)
    now[0] += left + 0.01
    with pytest.raises(BudgetSpent):
        budget.hold(SEARCH, cost())
    take(budget, cost(), TEST)


def test_a_resumed_run_goes_on_with_its_clock() -> None:
    budget = Budget(BudgetConfig(seconds=100), clock=lambda: NOON)
    budget.restore(Usage(), Usage(), seconds=70)
    assert budget.time_left("test") == 30
    assert budget.used()["seconds"] == (70.0, 100.0)
    budget = Budget(BudgetConfig(until="07:00"), clock=lambda: NOON)
    budget.restore(Usage(), Usage(), seconds=5, until=NOON - 1)
    assert budget.time_left("test") == -1


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("13:00", "2026-05-04T13:00"),
        ("07:00", "2026-05-05T07:00"),
        ("7:00", "2026-05-05T07:00"),
        ("12:00", "2026-05-05T12:00"),
        ("23:59:30", "2026-05-04T23:59:30"),
        ("2026-05-04T12:01", "2026-05-04T12:01"),
    ],
)
def test_until_is_the_next_such_moment(until: str, end: str) -> None:
    assert moment(until, NOON) == local(end)


def test_the_earlier_of_two_ends_counts() -> None:
    def left(**limits: Any) -> float | None:
        return Budget(BudgetConfig(**limits), clock=lambda: NOON).time_left("test")

    assert left(until="12:10", seconds=60) == 60
    assert left(until="12:10", seconds=6000) == 600
    assert left() is None


@pytest.mark.parametrize("set_by", [-7200.0, 7200.0])
def test_a_wall_clock_that_is_set_changes_until_and_not_the_seconds(set_by: float) -> None:
    clock, wall = [NOON], [NOON]
    seconds = Budget(BudgetConfig(seconds=100), lambda: clock[0], lambda: wall[0])
    until = Budget(BudgetConfig(until="16:00"), lambda: clock[0], lambda: wall[0])
    clock[0] += 30
    wall[0] += 30 + set_by
    assert seconds.time_left("test") == 70
    assert seconds.used()["seconds"] == (30.0, 100.0)
    assert until.time_left("test") == 4 * 3600 - 30 - set_by


def test_the_seconds_of_a_run_are_not_those_of_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(BudgetConfig(seconds=1000))
    monkeypatch.setattr(time, "time", lambda: NOON)
    left = budget.time_left("test")
    assert left is not None
    assert 900 < left <= 1000


@pytest.mark.parametrize(
    ("until", "what"),
    [("tonight", "is not a time"), ("25:00", "is not a time"), ("2020-01-01T00:00", "is in the past")],
)
def test_a_wrong_until_is_a_config_error(until: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        refuse_past(BudgetConfig(until=until), NOON)


def test_a_budget_whose_time_is_past_is_a_spent_one_so_that_a_run_can_be_resumed() -> None:
    with pytest.raises(BudgetSpent):
        Budget(BudgetConfig(until="2020-01-01T00:00")).hold(TEST, cost())


@settings(deadline=None, max_examples=20)
@given(calls=st.integers(1, 30), tokens=st.integers(20, 400), usd=st.floats(0.5, 4), seed=st.integers(0, 10**6))
def test_many_threads_never_overspend(calls: int, tokens: int, usd: float, seed: int) -> None:
    limits = BudgetConfig(calls=calls, tokens=tokens, usd=usd)
    budget = Budget(limits)
    worst: list[str] = []

    def work(thread: int) -> tuple[int, int]:
        rng = random.Random(f"{seed}:{thread}")
        paid_calls = paid_tokens = 0
        for _ in range(25):
            wanted, price = rng.randint(1, 40), rng.random() / 4
            most = cost(wanted, price)
            try:
                if budget.hold(SEARCH, most) is not None:
                    continue
            except BudgetSpent:
                continue
            with budget._lock:
                worst.extend(n for n in budget._spent if committed(budget, n) > getattr(limits, n) + 1e-9)
            if rng.random() < 0.5:
                budget.settle(SEARCH, most, Usage())
            else:
                spent = rng.randint(0, wanted)
                budget.settle(SEARCH, most, cost(spent, price / 2))
                paid_calls, paid_tokens = paid_calls + 1, paid_tokens + spent
        return paid_calls, paid_tokens

    with ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(work, range(8)))
    assert worst == []
    assert budget._spent["calls"] == sum(calls for calls, _ in totals) <= limits.calls  # type: ignore[operator]
    assert budget._spent["tokens"] == sum(tokens for _, tokens in totals) <= limits.tokens  # type: ignore[operator]
    assert budget._held == pytest.approx({"calls": 0.0, "tokens": 0.0, "usd": 0.0})


class LockThatLetsAnotherIn:
    """A lock which, as soon as it is let go, gives another thread its turn."""

    def __init__(self, turn: Callable[[], None]) -> None:
        self._lock, self._turn, self._busy = threading.Lock(), turn, False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()
        if not self._busy:
            self._busy = True
            self._turn()
            self._busy = False


def test_settling_leaves_no_moment_in_which_another_takes_the_place() -> None:
    budget = Budget(BudgetConfig(calls=1))
    refused = []

    def turn() -> None:
        try:
            refused.append(budget.hold(SEARCH, cost()) is None)
        except BudgetSpent as problem:
            refused.append(problem.name == "tokens")

    take(budget, cost())
    budget._lock = LockThatLetsAnotherIn(turn)  # type: ignore[assignment]
    budget.settle(SEARCH, cost(), Usage(1))
    assert refused == [False]
    assert committed(budget, "calls") == 1


def test_the_winner_s_time_is_kept_for_each_of_the_prompts_that_answer_together() -> None:
    budget = Budget(BudgetConfig(seconds=100), clock=lambda: NOON)
    budget.set_aside(calls=60, concurrency=1, prompts=5)
    for trial, seconds in ((0, 1.0), (1, 0.5)):
        tag = CallTag("task", "search", trial)
        take(budget, cost(), tag)
        budget.settle(tag, cost(), cost(), seconds=seconds)
    # Ten examples: once by the seed at 1 s, by each of five prompts at no more than that.
    assert budget.time_left("search") == pytest.approx(100 - 1.2 * 10 * (1 + 5 * 1))
