"""A circuit breaker for one endpoint: single probes wait for the end of an outage, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from optimizer.door.failures import FATAL, OUTAGE, RETRYABLE
from optimizer.errors import CallError, StoppedByFailures

TRIPS_AFTER = 5  # failures in a row
FIRST_CALLS = 2  # in flight until the endpoint has answered once: a wrong key costs no more requests
FIRST_PROBE, LONGEST_PROBE = 1.0, 30.0
# A time-out is blamed on the endpoint, and repeated, for so many seconds after other trouble.
TROUBLE_SECONDS = 300.0
PAIR_SECONDS = 60.0
KNOWN_AFTER = 20  # answers: before them a time-out may as well be the endpoint's, which may be loading a model
GRACE = 30.0  # seconds that a last attempt may go on after the run could have been given up


class Breaker:
    """Watches how one endpoint's calls end, and holds others back; used on one event loop."""

    def __init__(self, model: str, give_up_after: float) -> None:
        self._model, self._give_up_after = model, give_up_after
        self._proven, self._open = False, False
        self._inside = self._trying = 0
        self._probe_at, self._interval = 0.0, FIRST_PROBE
        self._in_a_row = self._timeouts = self._answers = 0
        self._failing_since: float | None = None
        self._last_answer = self._last_trouble = self._last_timeout = float("-inf")
        self._last: CallError | None = None
        self._stop: StoppedByFailures | None = None
        self._news = asyncio.Event()
        self._ended = asyncio.Event()  # an attempt has

    @asynccontextmanager
    async def gate(self) -> AsyncIterator[None]:
        """Wait until a request may be sent, and count it while it is; raises StoppedByFailures."""
        while True:
            self.check()
            now = time.monotonic()
            trying = self._open or not self._proven
            room = self._trying < (1 if self._open else FIRST_CALLS) and (not self._open or now >= self._probe_at)
            if room or not trying:
                break
            await self._wait_for_news(now)
        self._inside += 1
        self._trying += trying
        try:
            yield
        finally:
            self._inside -= 1
            self._trying -= trying
            self._ended.set()
            self._ended = asyncio.Event()
            if trying:
                self._notify()

    def check(self) -> None:
        """Raise StoppedByFailures if there is no hope, or was nothing but failures for too long."""
        if self._stop is not None:
            raise self._stop
        if self._last is None or self._in_a_row < 2 or time.monotonic() < self._deadline():
            return
        remedy = "Run the same command with the same --run-dir later: nothing paid is lost."
        what = f"{self._model}: nothing but failures for {time.monotonic() - (self._failing_since or 0):.0f} s"
        raise StoppedByFailures(f"{what} (the last: {self._last.kind}: {self._last.what})", remedy)

    def patience(self, timeout: float) -> float:
        """Return the seconds that an attempt may take: less than its time-out where the end is near."""
        if self._failing_since is None:
            return timeout
        return min(timeout, max(0.0, self._deadline() - time.monotonic()) + GRACE)

    def answered(self) -> None:
        """Learn that the endpoint works: it answered, or refused a call for the call's own fault."""
        self._last_answer = time.monotonic()
        self._answers += 1
        self._in_a_row = self._timeouts = 0
        self._failing_since = self._last = None
        if self._open or not self._proven:
            self._proven, self._open, self._interval = True, False, FIRST_PROBE
            self._notify()

    def failed(self, error: CallError, started: float) -> None:
        """Learn that an attempt, begun at a time of time.monotonic, failed."""
        if error.kind in FATAL:
            remedy = "Check the model's name and its key, then run the same command again: nothing paid is lost."
            self._halt(f"{self._model}: {error.kind.replace('_', ' ')}: {error.what}", remedy)
        elif error.retry_after is not None and error.retry_after > self._give_up_after:
            what = f"{self._model}: it asks to be left alone for {error.retry_after:.0f} s ({error.what})"
            remedy = "Run the same command with the same --run-dir after that, or raise failures.give_up_after."
            self._halt(what, remedy)
        elif error.kind in RETRYABLE:
            self._count(error, started)
        else:
            self.answered()

    def blames_endpoint(self, started: float) -> bool:
        """Tell if an attempt begun then timed out through the endpoint, not through its own length.

        A call that hangs while the endpoint is well is a straggler, to be executed once. An endpoint that
        has hardly answered yet is not known to be well.
        """
        troubled = time.monotonic() - self._last_trouble < TROUBLE_SECONDS
        nobody_answered = self._last_answer < started and (self._timeouts > 1 or self._inside > 0)
        return troubled or nobody_answered or self._answers < KNOWN_AFTER

    async def awaits_blame(self, started: float, seconds: float) -> bool:
        """Tell what `blames_endpoint` does, but wait for signs while other calls may still bring some."""
        deadline = time.monotonic() + seconds
        while not self.blames_endpoint(started) and self._inside > 0 and time.monotonic() < deadline:
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._ended.wait()
        return self.blames_endpoint(started)

    def _count(self, error: CallError, started: float) -> None:
        now = time.monotonic()
        self._last, self._in_a_row = error, self._in_a_row + 1
        if self._failing_since is None:
            self._failing_since = max(started, self._last_answer)
        self._timeouts += error.kind == "timeout"
        if error.kind == "timeout":
            if now - self._last_timeout < PAIR_SECONDS:
                self._last_trouble = now  # one call may be too long; two in a minute point at the endpoint
            self._last_timeout = now
        elif error.kind != "rate_limit":
            self._last_trouble = now
        if error.kind not in OUTAGE or self._in_a_row < TRIPS_AFTER:
            return
        if not self._open:
            self._open, self._interval = True, FIRST_PROBE
            self._probe_at = now + self._interval
        elif now >= self._probe_at:  # a probe, not a call that was in flight when the breaker tripped
            self._interval = min(LONGEST_PROBE, 2 * self._interval)
            self._probe_at = now + self._interval

    def _halt(self, what: str, remedy: str) -> None:
        self._stop = StoppedByFailures(what, remedy)
        self._notify()

    def _deadline(self) -> float:
        return float("inf") if self._failing_since is None else self._failing_since + self._give_up_after

    async def _wait_for_news(self, now: float) -> None:
        moments = [self._deadline()]
        if self._open and not self._trying:
            moments.append(self._probe_at)
        seconds = min(moments) - now
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == float("inf") else max(0.001, seconds)):
                await self._news.wait()

    def _notify(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
