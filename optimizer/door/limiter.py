"""Keeps the calls of one provider and key under its limits on requests and tokens a minute."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from optimizer.door.pace import Pace
from optimizer.errors import CallError
from optimizer.models.headers import allowances

# A longer reset is that of a daily quota; its refusals say so.
LONGEST_RESET = 60.0


class Turns(Protocol):
    """Lets calls through, and learns from how they end: a Limiter, or one that several processes share."""

    @property
    def by_chance(self) -> bool:
        """Whether refusals are known to come at random: to wait after one is of no use."""

    async def enter(self, tokens: int) -> float:
        """Wait for a call's turn; return the time at which it was let through (time.monotonic)."""

    def answered(self, sent: float, tokens: int, used: int) -> None:
        """Learn that a call was answered."""

    def failed(self, sent: float, error: CallError) -> None:
        """Learn from a failed call."""

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Learn from a reply's headers."""

    def describe(self) -> str:
        """Return what is known of the limits in words, "" where none was met; safe from any thread."""


class Limiter:
    """Lets calls through as fast as the provider takes them; used on one event loop.

    Limits are learned from refusals, `Retry-After` and rate-limit headers. The estimate of a call's
    tokens is corrected when its answer is in.
    """

    def __init__(self) -> None:
        self._requests, self._tokens = Pace(), Pace()
        self._paused = 0.0
        self._turn = asyncio.Lock()

    async def enter(self, tokens: int) -> float:
        """Wait for a call's turn; return the time at which it was let through (time.monotonic)."""
        if self._wait() > 0 or self._turn.locked():
            # One caller sleeps for all: the others need not wake until it is their turn.
            async with self._turn:
                while (seconds := self._wait()) > 0:
                    await asyncio.sleep(seconds)
                return self._take(tokens)
        return self._take(tokens)

    def answered(self, sent: float, tokens: int, used: int) -> None:
        """Learn that a call was answered."""
        now = time.monotonic()
        self._tokens.give_back(tokens - used)
        self._requests.accepted(now, sent, 1)
        self._tokens.accepted(now, sent, used)

    def failed(self, sent: float, error: CallError) -> None:
        """Learn from a failed call: slow down if it was refused, and wait as long as it asks."""
        now = time.monotonic()
        if error.kind == "rate_limit":
            pace = self._tokens if "token" in error.what.lower() else self._requests
            pace.refused(now, sent)
        if error.retry_after is not None:
            self._paused = max(self._paused, now + error.retry_after)

    @property
    def by_chance(self) -> bool:
        """Whether refusals are known to come at random: to wait after one is of no use."""
        return self._requests.by_chance or self._tokens.by_chance

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Learn from a reply's headers."""
        for unit, allowance in allowances(headers).items():
            pace = self._requests if unit == "requests" else self._tokens
            if allowance.per_minute:
                pace.state(allowance.per_minute / 60)
            if allowance.left == 0 and 0 < (allowance.reset or 0) <= LONGEST_RESET:
                self._paused = max(self._paused, time.monotonic() + (allowance.reset or 0))

    def describe(self) -> str:
        """Return what is known of the limits in words, "" where none was met; safe from any thread."""
        rates = (("requests", self._requests.rate), ("tokens", self._tokens.rate))
        known = [f"{rate:,.1f} {unit}/s" for unit, rate in rates if rate is not None]
        paused = self._paused - time.monotonic()
        return ", ".join([*known, *([f"paused for {paused:.0f} s"] if paused > 0 else [])])

    def _wait(self) -> float:
        now = time.monotonic()
        return max(self._paused - now, self._requests.wait(now), self._tokens.wait(now))

    def _take(self, tokens: int) -> float:
        now = time.monotonic()
        self._requests.take(now, 1)
        self._tokens.take(now, tokens)
        return now


def _own(account: str) -> Turns:
    """Return a limiter for the calls of this process alone."""
    return Limiter()


# Who lets through the calls of an account: a cell of a sweep shares its limits with the others.
limiter_of: contextvars.ContextVar[Callable[[str], Turns]] = contextvars.ContextVar("limiter_of", default=_own)
