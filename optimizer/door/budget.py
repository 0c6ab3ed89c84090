"""One total budget: reserve before a call, settle after it, never overspent at any concurrency."""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from optimizer.config.schema import BudgetConfig
from optimizer.door.forecast import TestForecast
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.ledger.calls import CallTag
from optimizer.ledger.clock import resume_clock
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import booked_for_lost, call_stats, usage_in
from optimizer.system.steady import SteadyClock
from optimizer.types import Phase, Usage


class Budget:
    """What is left of a run's limits; safe from any thread.

    `calls` and `tokens` bound the search; `usd`, `seconds` and `until` bound the whole job, so what the
    test will take is kept free from the start. Call `hold` before a call, then `settle` exactly once.
    """

    def __init__(
        self, limits: BudgetConfig, clock: Callable[[], float] | None = None, wall: Callable[[], float] | None = None
    ) -> None:
        """`seconds` are counted by the clock, which nobody sets: the ledger's; `until` is read from the wall.

        A clock that comes without a wall is both.

        Raises ConfigError where `until` is not a time.
        """
        self.limits = limits
        self.refused: str | None = None
        self.lost: dict[str, dict[Phase, Usage]] = {}
        self._clock = clock or SteadyClock().now
        self._wall = wall or clock or time.time
        self._start = self._clock()
        self._earlier = 0.0
        self._until = None if limits.until is None else moment(limits.until, self._wall())
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._in_flight = 0
        self._forecast = TestForecast()
        self._spent = {"calls": 0.0, "tokens": 0.0, "usd": 0.0}
        self._held = {"calls": 0.0, "tokens": 0.0, "usd": 0.0}

    def restore(self, search: Usage, test: Usage, seconds: float = 0.0, until: float | None = None) -> None:
        """Take what earlier attempts at this run have paid as spent, and go on with their clock.

        `until` is the moment that the first attempt was to end at.
        """
        self._spent = {"calls": search.calls, "tokens": search.tokens, "usd": search.usd + test.usd}
        self._earlier = seconds
        self._until = self._until if until is None else until

    def begin(
        self,
        ledger: Ledger,
        calls: int,
        concurrency: int,
        baselines: int = 0,
        prompts: int = 1,
        judging: float = 0.0,
    ) -> None:
        """Begin a run or go on with it: what was paid, what was learnt and the clock are read from the ledger.

        The dollars and the time of the test's `calls`, and of those of the `baselines`, are kept for them: see
        TestForecast.
        """
        search, test = usage_in(ledger, "search"), usage_in(ledger, "test")
        text = self.limits.until
        until = None if text is None else (text, moment(text, self._wall()))
        self.restore(search, test, *resume_clock(ledger, self._start, until))
        self.set_aside(calls, concurrency, baselines, prompts, judging)
        self.lost = booked_for_lost(ledger)
        for stats in call_stats(ledger):
            tag = CallTag(stats.role, "search", stats.trial)
            self._forecast.learn(tag, Usage(), Usage(usd=stats.usd), stats.seconds)

    def set_aside(
        self, calls: int, concurrency: int = 1, baselines: int = 0, prompts: int = 1, judging: float = 0.0
    ) -> None:
        """Keep dollars and time for the calls of the test and of the baselines; see TestForecast."""
        self._forecast = TestForecast(calls, concurrency, baselines, prompts, judging)

    def hold(self, tag: CallTag, most: Usage) -> Future[None] | None:
        """Reserve a call's worst case; where other calls hold what it needs, return what to await.

        Raises BudgetSpent naming the limit that has no room, even if all that is in flight cost nothing.
        """
        left = self.time_left(tag.phase, in_flight=False)
        if left is not None and left <= 0:
            raise self._refuse("time")
        with self._lock:
            if self._must_wait(tag, most):
                waiter: Future[None] = Future()
                waiter.set_running_or_notify_cancel()  # so that settle() may end it when its call was cancelled
                self._waiting.append(waiter)
                return waiter
            for name, amount in _amounts(tag.phase, most).items():
                self._held[name] += amount
            self._in_flight += most.calls
        return None

    def _must_wait(self, tag: CallTag, most: Usage) -> bool:
        searching = tag.phase == "search"
        # What the test will cost is not known before one call has been paid, so the first one goes alone; a further
        # attempt at it does not wait for itself.
        blind = searching and self.limits.usd is not None and self._forecast.blind
        wait = blind and self._in_flight > 0 and most.calls > 0
        for name, amount in _amounts(tag.phase, most).items():
            limit = getattr(self.limits, name)
            if limit is None:
                continue
            room = limit - (self._forecast.dollars(tag, most, limit) if searching and name == "usd" else 0.0)
            if self._spent[name] + amount > room:
                raise self._refuse(name)
            wait = wait or self._spent[name] + self._held[name] + amount > room
        return wait

    def _refuse(self, name: str) -> BudgetSpent:
        self.refused = self.refused or name
        return BudgetSpent(name)

    def settle(self, tag: CallTag, held: Usage, paid: Usage, seconds: float | None = None, shown: float = 1.0) -> None:
        """Replace what a call held by what it really took; `seconds` where it was answered.

        Of its dollars a share is `shown`: so much another call like it will cost.
        """
        with self._lock:
            for name, amount in _amounts(tag.phase, held).items():
                self._held[name] -= amount
            for name, amount in _amounts(tag.phase, paid).items():
                self._spent[name] += amount
            self._in_flight -= held.calls
            if seconds is not None:
                most, usual = (replace(usage, usd=shown * usage.usd) for usage in (held, paid))
                self._forecast.learn(tag, most, usual, seconds)
            woken, self._waiting = self._waiting, []
        for waiter in woken:
            waiter.set_result(None)

    def time_left(self, phase: Phase, in_flight: bool = True) -> float | None:
        """Return the seconds that a phase has left; `in_flight`: for the calls that are in flight to end, too."""
        end = self._end()
        if end is None:
            return None
        left = end - self._clock()
        if phase == "test":
            return left
        reserved = self._forecast.seconds(end - self._start + self._earlier)
        return left - reserved + (self._forecast.in_flight() if in_flight else 0.0)

    def calls_left(self) -> float:
        """Return how many of the search's calls are neither spent nor held; infinity without a limit."""
        limit = self.limits.calls
        with self._lock:
            return math.inf if limit is None else limit - self._spent["calls"] - self._held["calls"]

    def used(self) -> dict[str, tuple[float, float]]:
        """Return (spent, limit) for each limit that is set; seconds for the time limits."""
        with self._lock:
            shown = {
                n: (self._spent[n], float(getattr(self.limits, n))) for n in self._spent if getattr(self.limits, n)
            }
        end = self._end()
        if end is not None:
            begun = self._start - self._earlier
            shown["seconds"] = (self._clock() - begun, end - begun)
        return shown

    def _end(self) -> float | None:
        """Return when the job must end, by the clock; None without a limit on its time."""
        ends = [] if self.limits.seconds is None else [self._start - self._earlier + self.limits.seconds]
        if self._until is not None:
            ends.append(self._clock() + self._until - self._wall())
        return min(ends, default=None)


def _amounts(phase: Phase, usage: Usage) -> dict[str, float]:
    bounded = {"calls": float(usage.calls), "tokens": float(usage.tokens)} if phase == "search" else {}
    return {**bounded, "usd": usage.usd}


def moment(text: str, at: float) -> float:
    """Return the next such clock time, or the ISO time, even if past; raises ConfigError."""
    here = dt.datetime.fromtimestamp(at).astimezone()
    try:
        if len(text) <= 8 and ":" in text:
            clock = dt.time.fromisoformat(text.zfill(5))
            then = dt.datetime.combine(here.date(), clock, here.tzinfo)
            return (then if then > here else then + dt.timedelta(days=1)).timestamp()
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        remedy = "Write a clock time such as '07:00', or an ISO time such as '2027-01-31T07:00'."
        raise ConfigError(f"budget.until: '{text}' is not a time", remedy) from None


def refuse_past(limits: BudgetConfig, at: float) -> None:
    """Raise ConfigError for an `until` that has passed before the run begins."""
    if limits.until is not None and moment(limits.until, at) <= at:
        raise ConfigError(f"budget.until: '{limits.until}' is in the past", "Give a time to come.")
