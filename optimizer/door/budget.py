"""One total budget: reserve before a call, settle after it, never overspent at any concurrency."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable

from optimizer.config.schema import Budget as Limits
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.types import Phase, Usage


class Budget:
    """What is left of a run's limits; safe from any thread.

    `calls` and `tokens` bound the search; `usd`, `seconds` and `until` bound the whole job.
    Call `reserve` before a call, then `settle` or `release` exactly once.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self.limits = limits
        self._clock = clock
        self._start = clock()
        self._deadline = deadline(limits, self._start)
        self._lock = threading.Lock()
        self._test_calls, self._dearest = 0, 0.0
        self._spent = {"calls": 0.0, "tokens": 0.0, "usd": 0.0}
        self._held = {"calls": 0.0, "tokens": 0.0, "usd": 0.0}

    def restore(self, search: Usage, test: Usage) -> None:
        """Take what an earlier attempt at this run has paid as spent."""
        self._spent = {"calls": search.calls, "tokens": search.tokens, "usd": search.usd + test.usd}

    def set_aside(self, calls: int) -> None:
        """Keep the dollars of the test's calls out of the search, each as dear as the dearest."""
        self._test_calls = calls

    def reserve(self, phase: Phase, tokens: int, usd: float) -> None:
        """Set one call's worst case aside; raises BudgetSpent naming the limit that has no room."""
        if phase == "search" and self._deadline is not None and self._clock() >= self._deadline:
            raise BudgetSpent("time")
        wanted = self._amounts(phase, tokens, usd)
        with self._lock:
            for name, amount in wanted.items():
                limit = getattr(self.limits, name)
                if limit is not None and name == "usd" and phase == "search":
                    limit -= self._test_calls * self._dearest
                if limit is not None and self._spent[name] + self._held[name] + amount > limit:
                    raise BudgetSpent(name)
            for name, amount in wanted.items():
                self._held[name] += amount

    def settle(self, phase: Phase, tokens: int, usd: float, paid: Usage) -> None:
        """Replace a reservation by what the call really took."""
        with self._lock:
            for name, amount in self._amounts(phase, tokens, usd).items():
                self._held[name] -= amount
            for name, amount in self._amounts(phase, paid.tokens, paid.usd).items():
                self._spent[name] += amount
            self._dearest = max(self._dearest, paid.usd)

    def release(self, phase: Phase, tokens: int, usd: float) -> None:
        """Give a reservation back: the call was not made, or was not charged."""
        with self._lock:
            for name, amount in self._amounts(phase, tokens, usd).items():
                self._held[name] -= amount

    def used(self) -> dict[str, tuple[float, float]]:
        """Return (spent, limit) for each limit that is set; seconds for the time limits."""
        with self._lock:
            shown = {
                n: (self._spent[n], float(getattr(self.limits, n))) for n in self._spent if getattr(self.limits, n)
            }
        if self._deadline is not None:
            shown["seconds"] = (self._clock() - self._start, self._deadline - self._start)
        return shown

    @staticmethod
    def _amounts(phase: Phase, tokens: int, usd: float) -> dict[str, float]:
        bounded_by_search = {"calls": 1.0, "tokens": float(tokens)} if phase == "search" else {}
        return {**bounded_by_search, "usd": usd}


def deadline(limits: Limits, now: float) -> float | None:
    """Return the time (seconds since the epoch) at which the search must end, or None; raises ConfigError."""
    ends = [] if limits.seconds is None else [now + limits.seconds]
    if limits.until is not None:
        ends.append(_moment(limits.until, now))
    return min(ends, default=None)


def _moment(text: str, now: float) -> float:
    here = dt.datetime.fromtimestamp(now).astimezone()
    try:
        if len(text) <= 8 and ":" in text:
            clock = dt.time.fromisoformat(text.zfill(5))
            moment = dt.datetime.combine(here.date(), clock, here.tzinfo)
            return (moment if moment > here else moment + dt.timedelta(days=1)).timestamp()
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        remedy = "Write a clock time such as '07:00', or an ISO time such as '2027-01-31T07:00'."
        raise ConfigError(f"budget.until: '{text}' is not a time", remedy) from None
    if moment.timestamp() <= now:
        raise ConfigError(f"budget.until: '{text}' is in the past", "Give a time to come.")
    return moment.timestamp()
