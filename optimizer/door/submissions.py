"""Hands batches in to a provider, and asks for them until they have ended: patiently, and none twice.

What the provider's failures mean is the breaker's to say: it ends a run that asks in vain for too long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from optimizer.door.breaker import Breaker
from optimizer.door.delivery import Delivery
from optimizer.door.failures import RETRYABLE, classify
from optimizer.errors import CallError, StoppedByFailures
from optimizer.ledger.batches import count_answered, provider_ids
from optimizer.ledger.ledger import Ledger
from optimizer.models.batches import Batches, Reply, State, Unanswered
from optimizer.models.providers import Endpoint

T = TypeVar("T")
Say = Callable[[str], None]
TimeLeft = Callable[[], float | None]

FIRST_LOOK, LONGEST_LOOK, SLOWER = 5.0, 60.0, 1.2  # seconds between two looks at a batch, and how they grow
SETTLING = 60.0  # seconds after a submission that may not have come through, until a list is believed that lacks it
# Seconds that a provider may take to end a batch that is cancelled; of a short time no more than this share.
CANCELLING, CANCELLING_SHARE = 600.0, 0.1
SUBMITTING = 900.0  # seconds that a submission may take


class Gone(CallError):
    """The provider has a batch, or its results, no more: what it was answered is lost, and may be charged."""


@dataclass
class Out:
    """A batch that is out: its requests, how many of them are answered, and since when (time.monotonic)."""

    requests: int
    answered: int
    since: float

    def text(self) -> str:
        """Return it in words."""
        minutes = (time.monotonic() - self.since) / 60
        return f"{self.requests:,} calls out since {minutes:,.0f} min, {self.answered:,} answered"


class Submissions:
    """What one endpoint is asked about batches: to take one, where it stands, its results, to cancel it."""

    def __init__(
        self,
        endpoint: Endpoint,
        api: Batches,
        breaker: Breaker,
        backoff: Callable[[int], float],
        retries: int,
        ledger: Ledger,
        delivery: Delivery,
        say: Say,
    ) -> None:
        """`backoff` gives the seconds before an attempt, by its number; `say` is told what is cancelled."""
        self._endpoint, self._api, self._breaker = endpoint, api, breaker
        self._backoff, self._retries = backoff, retries
        self._ledger, self._delivery, self._say = ledger, delivery, say

    async def results(self, name: str) -> Mapping[str, Reply | Unanswered]:
        """Return what came of each request of a batch that has ended, by its label; raises Gone, StoppedByFailures."""
        return await self._patiently(lambda: self._api.results(name))

    async def submit(self, label: str, bodies: dict[str, dict[str, object]]) -> str:
        """Hand a batch in, once; returns the provider's name of it, or raises CallError where it is refused."""
        began, attempt, doubtful = self._ledger.clock.now(), 0, False
        while True:
            if doubtful and (name := await self.find(label, len(bodies), began)) is not None:
                return name
            sent = time.monotonic()
            try:
                async with asyncio.timeout(SUBMITTING):
                    name = await self._api.submit(label, bodies)
            except Exception as problem:  # noqa: BLE001 - the boundary to the provider, which `_failed` sorts
                error = self._failed(problem, sent)
                attempt += 1
                if error.kind not in RETRYABLE or (error.kind == "rate_limit" and attempt > self._retries):
                    raise error from None
                doubtful = doubtful or error.kind != "rate_limit"
                await asyncio.sleep(error.retry_after or self._backoff(attempt))
            else:
                self._breaker.answered()
                return name

    async def find(self, label: str, count: int, since: float, age: float = 0.0) -> str | None:
        """Look for a batch that may have been handed in, `age` seconds ago.

        None once the provider is taken not to have it.
        """
        until, look = time.monotonic() + SETTLING - age, FIRST_LOOK
        while True:
            match = await self._patiently(lambda: self._api.find(label, count, since, provider_ids(self._ledger)))
            if match.id is not None or (not match.unsure and time.monotonic() >= until):
                return match.id
            await asyncio.sleep(look)
            look = min(LONGEST_LOOK, SLOWER * look) if match.unsure else FIRST_LOOK

    async def awaited(self, batch: int, name: str, out: Out, left: TimeLeft) -> tuple[State, bool]:
        """Wait for a batch's end; returns how it stands then, and whether it was cancelled because time was up."""
        look, cut, seconds = FIRST_LOOK, False, left()
        lead = 0.0 if seconds is None else min(CANCELLING, CANCELLING_SHARE * max(0.0, seconds))
        while True:
            state = await self._patiently(lambda: self._api.state(name))
            if state.answered != out.answered:
                out.answered = state.answered
                await self._delivery.wait(count_answered(self._ledger, batch, state.answered))
            if state.status != "out":
                return state, cut
            seconds = left()
            if seconds is not None and seconds <= lead and not cut:
                self._say(f"time is nearly up: the batch that is out is cancelled ({name})")
                cut, look = await self._cancelled(name), FIRST_LOOK
            await asyncio.sleep(look if seconds is None or seconds <= lead else min(look, seconds - lead))
            look = look if cut else min(LONGEST_LOOK, SLOWER * look)

    async def _cancelled(self, name: str) -> bool:
        """Cancel a batch; False where the provider does not do so: it may have ended just now."""
        sent = time.monotonic()
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                await self._api.cancel(name)
        except Exception as problem:  # noqa: BLE001 - the boundary to the provider, which `_failed` sorts
            self._failed(problem, sent)
            return False
        return True

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the provider about a batch until it answers; raises Gone for a batch that is there no more.

        Raises StoppedByFailures once it has failed for too long.
        """
        attempt = 0
        while True:
            sent = time.monotonic()
            try:
                async with asyncio.timeout(self._endpoint.timeout):
                    outcome = await ask()
            except Exception as problem:  # noqa: BLE001 - the boundary to the provider, which `_failed` sorts
                if (known := classify(problem)) is not None and known.kind == "unknown_model":
                    raise Gone("malformed", f"the provider has a batch no more: {known.what}") from None
                error = self._failed(problem, sent)
                if error.kind not in RETRYABLE:
                    what = f"{self._endpoint.model}: its batch cannot be asked for: {error.what}"
                    raise StoppedByFailures(what, "Run the same command again later: nothing paid is lost.") from None
                attempt += 1
                await asyncio.sleep(error.retry_after or self._backoff(attempt))
            else:
                self._breaker.answered()
                return outcome

    def _failed(self, problem: Exception, sent: float) -> CallError:
        """Return how the provider failed; raises it where it is a bug, and StoppedByFailures where there is no hope."""
        error = classify(problem)
        if error is None:
            raise problem
        self._breaker.failed(error, sent)
        self._breaker.check()
        return error
