from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config.schema import Budget as Limits
from optimizer.door.budget import Budget, deadline
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.types import Usage

NOON = dt.datetime(2026, 5, 4, 12, 0).astimezone().timestamp()


def local(text: str) -> float:
    return dt.datetime.fromisoformat(text).astimezone().timestamp()


def committed(budget: Budget, name: str) -> float:
    return budget._spent[name] + budget._held[name]


def test_the_last_place_is_given_and_the_next_refused() -> None:
    budget = Budget(Limits(calls=2))
    budget.reserve("search", 5, 0.0)
    budget.reserve("search", 5, 0.0)
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve("search", 5, 0.0)
    assert caught.value.name == "calls"


@pytest.mark.parametrize(
    ("limits", "tokens", "usd", "name"),
    [
        (Limits(tokens=10), 11, 0.0, "tokens"),
        (Limits(usd=1.0), 1, 1.5, "usd"),
        (Limits(calls=1, tokens=1), 2, 0.0, "tokens"),
    ],
)
def test_a_refusal_names_the_limit_and_holds_nothing(limits: Limits, tokens: int, usd: float, name: str) -> None:
    budget = Budget(limits)
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve("search", tokens, usd)
    assert caught.value.name == name
    assert budget._held == {"calls": 0.0, "tokens": 0.0, "usd": 0.0}


def test_settling_replaces_the_reservation_by_what_was_paid() -> None:
    budget = Budget(Limits(calls=10, tokens=100, usd=1.0))
    budget.reserve("search", 60, 0.5)
    with pytest.raises(BudgetSpent):
        budget.reserve("search", 60, 0.1)
    budget.settle("search", 60, 0.5, Usage(1, 0, 20, 0, 5, 0.125))
    assert budget.used() == {"calls": (1.0, 10.0), "tokens": (25.0, 100.0), "usd": (0.125, 1.0)}
    budget.reserve("search", 60, 0.1)


def test_releasing_gives_everything_back() -> None:
    budget = Budget(Limits(calls=1, tokens=10, usd=1.0))
    for _ in range(5):
        budget.reserve("search", 10, 1.0)
        budget.release("search", 10, 1.0)
    assert budget.used() == {"calls": (0.0, 1.0), "tokens": (0.0, 10.0), "usd": (0.0, 1.0)}


def test_the_test_phase_is_not_bounded_by_calls_and_tokens_but_by_dollars() -> None:
    budget = Budget(Limits(calls=2, tokens=5, usd=1.0))
    for _ in range(5):
        budget.reserve("test", 100, 0.1)
        budget.settle("test", 100, 0.1, Usage(1, 0, 100, 0, 0, 0.1))
    assert budget.used()["calls"] == (0.0, 2.0)
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve("test", 1, 0.6)
    assert caught.value.name == "usd"


def test_restoring_counts_what_an_earlier_attempt_paid() -> None:
    budget = Budget(Limits(calls=10, tokens=1000, usd=3.0))
    budget.restore(Usage(4, 9, 100, 50, 20, 0.5), Usage(7, 0, 900, 0, 900, 0.25))
    assert budget.used() == {"calls": (4.0, 10.0), "tokens": (120.0, 1000.0), "usd": (0.75, 3.0)}


def test_no_limit_no_refusal_and_nothing_to_show() -> None:
    budget = Budget(Limits())
    for _ in range(100):
        budget.reserve("search", 10**9, 10**6)
    assert budget.used() == {}


def test_the_clock_ends_the_search_not_the_test() -> None:
    now = [NOON]
    budget = Budget(Limits(seconds=10), clock=lambda: now[0])
    budget.reserve("search", 1, 0.0)
    now[0] += 9.9
    budget.reserve("search", 1, 0.0)
    assert budget.used()["seconds"] == (pytest.approx(9.9), 10.0)
    now[0] += 0.1
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve("search", 1, 0.0)
    assert caught.value.name == "time"
    budget.reserve("test", 1, 0.0)


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
    assert deadline(Limits(until=until), NOON) == local(end)


def test_the_earlier_of_two_ends_counts() -> None:
    assert deadline(Limits(until="12:10", seconds=60), NOON) == NOON + 60
    assert deadline(Limits(until="12:10", seconds=6000), NOON) == NOON + 600
    assert deadline(Limits(), NOON) is None


@pytest.mark.parametrize(
    ("until", "what"),
    [("tonight", "is not a time"), ("25:00", "is not a time"), ("2020-01-01T00:00", "is in the past")],
)
def test_a_wrong_until_is_a_config_error(until: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        Budget(Limits(until=until))


@settings(deadline=None, max_examples=20)
@given(calls=st.integers(1, 30), tokens=st.integers(20, 400), usd=st.floats(0.5, 4), seed=st.integers(0, 10**6))
def test_many_threads_never_overspend(calls: int, tokens: int, usd: float, seed: int) -> None:
    limits = Limits(calls=calls, tokens=tokens, usd=usd)
    budget = Budget(limits)
    worst: list[str] = []

    def work(thread: int) -> tuple[int, int]:
        rng = random.Random(f"{seed}:{thread}")
        paid_calls = paid_tokens = 0
        for _ in range(25):
            wanted, price = rng.randint(1, 40), rng.random() / 4
            try:
                budget.reserve("search", wanted, price)
            except BudgetSpent:
                continue
            with budget._lock:
                worst.extend(n for n in budget._spent if committed(budget, n) > getattr(limits, n) + 1e-9)
            if rng.random() < 0.5:
                budget.release("search", wanted, price)
            else:
                spent = rng.randint(0, wanted)
                budget.settle("search", wanted, price, Usage(1, 0, spent, 0, 0, price / 2))
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
    budget = Budget(Limits(calls=1))
    refused = []

    def turn() -> None:
        try:
            budget.reserve("search", 1, 0.0)
        except BudgetSpent as problem:
            refused.append(problem.name)

    budget.reserve("search", 1, 0.0)
    budget._lock = LockThatLetsAnotherIn(turn)  # type: ignore[assignment]
    budget.settle("search", 1, 0.0, Usage(1))
    assert set(refused) == {"calls"}
    assert committed(budget, "calls") == 1
