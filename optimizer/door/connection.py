"""Calls to one endpoint: the slots in flight, the breaker, the limiter, the attempts."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from optimizer.config.schema import Failures
from optimizer.door.breaker import Breaker
from optimizer.door.charges import Charge
from optimizer.door.failures import RETRYABLE, checked, classify, problem_with
from optimizer.door.limiter import Turns
from optimizer.errors import CallError, StoppedByFailures
from optimizer.models.prices import metered
from optimizer.models.providers import Endpoint

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
MOST_TIMEOUTS = 3  # of one call: an endless one must not cost a night


class Ended(NamedTuple):
    """How a call ended: its answer or how it failed for good, the attempts made, and the seconds of the last one.

    They count from when the limiter let it through, so that no wait of ours is in them. None is an answer of a batch,
    which tells no time.
    """

    outcome: Response | CallError
    attempts: int
    seconds: float | None = 0.0


class Connection:
    """Makes calls to one endpoint, each in as many attempts as it takes; used on one event loop."""

    def __init__(self, endpoint: Endpoint, failures: Failures, limiter: Turns) -> None:
        self._endpoint, self._failures, self._limiter = endpoint, failures, limiter
        self._breaker = Breaker(endpoint.model, failures.give_up_after)
        self._wire = endpoint.dial(limiter.read_headers)
        self._jitter = random.Random()  # noqa: S311 - spreads retries, decides nothing
        self.slots = asyncio.Semaphore(endpoint.concurrency)

    async def call(self, request: Request, tokens: int, charge: Charge, again: Callable[[], Awaitable[bool]]) -> Ended:
        """Return the answer, or how the call failed for good, and what that took.

        `tokens` is an upper estimate of what it takes. Failed attempts are noted in `charge`; before each
        further one `again` says if the budget has room for it.
        """
        attempt = timeouts = 0
        while True:
            try:
                async with self._breaker.gate():
                    attempt += 1
                    began = time.monotonic()
                    outcome, seconds = await self._attempt(request, tokens, charge)
            except StoppedByFailures as stop:
                return Ended(CallError("transport", f"not asked any more: {stop.what}"), attempt)
            if not isinstance(outcome, CallError):
                return Ended(outcome, attempt, seconds)
            timeouts += outcome.kind == "timeout"
            hopeless = timeouts > MOST_TIMEOUTS or attempt > self._failures.retries
            if hopeless or not await self._worth_repeating(outcome, began) or not await again():
                return Ended(outcome, attempt, seconds)
            if outcome.kind != "rate_limit" or not self._limiter.by_chance:
                await asyncio.sleep(self.backoff(attempt))

    def check(self) -> None:
        """Raise StoppedByFailures if this endpoint is not to be asked any more."""
        self._breaker.check()

    def limits(self) -> str:
        """Return what is known of the provider's limits, in words."""
        return self._limiter.describe()

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._wire.aclose()

    def backoff(self, attempt: int) -> float:
        """Return the seconds before the next attempt: full jitter under a growing ceiling."""
        return self._jitter.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))

    async def _attempt(self, request: Request, tokens: int, charge: Charge) -> tuple[Response | CallError, float]:
        """Return an attempt's answer, or how it failed, and its seconds since the limiter let it through."""
        sent, begun = await self._limiter.enter(tokens), time.monotonic()
        try:
            async with asyncio.timeout(self._breaker.patience(self._endpoint.timeout)):
                response = checked(await self._wire.acall(request))
        except Exception as problem:  # the boundary to code of all providers
            error = self._call_error(problem)
            if error is None:
                raise
            charge.lose(error, error.kind)
        else:
            error = problem_with(response)
            if error is None:
                return self._answered(response, sent, tokens), time.monotonic() - begun
            charge.waste(metered(response.usage, self._endpoint.model, charge.price, charge.most))
        self._limiter.failed(sent, error)
        self._breaker.failed(error, sent)
        return error, time.monotonic() - begun

    def _answered(self, response: Response, sent: float, tokens: int) -> Response:
        self._breaker.answered()
        usage = response.usage
        self._limiter.answered(sent, tokens, (usage.input_tokens or 0) + (usage.output_tokens or 0))
        return response

    def _call_error(self, problem: Exception) -> CallError | None:
        headers = getattr(problem, "rate_limit_headers", None) or {}
        self._limiter.read_headers({name: values[0] for name, values in headers.items() if values})
        error = classify(problem)
        if error is not None and error.kind == "timeout":
            error = CallError("timeout", f"no answer in {self._endpoint.timeout:g} s")
        if error is not None and error is not problem:
            error.__cause__ = problem  # what it cost depends on how far it got
        return error

    async def _worth_repeating(self, error: CallError, began: float) -> bool:
        if error.kind != "timeout":
            return error.kind in RETRYABLE
        return await self._breaker.awaits_blame(began, min(LONGEST_WAIT, self._endpoint.timeout))
