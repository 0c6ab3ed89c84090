"""The one door for every model call: cache, single flight, budget, retries, metering."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from optimizer.config.schema import Failures
from optimizer.door.budget import Budget
from optimizer.door.charges import Charge, most_of
from optimizer.door.failures import FATAL, RETRYABLE, classify
from optimizer.door.keys import call_key, request_json, response_from_json, response_json
from optimizer.errors import BudgetSpent, CallError, StoppedByFailures
from optimizer.ledger.clock import rebook_lost
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import CallTag, begin_call, count_hit, fail_call, find_call, finish_call
from optimizer.models.prices import Price, metered
from optimizer.models.providers import Endpoint
from optimizer.types import Failure, Role

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

tag_of_call: contextvars.ContextVar[CallTag] = contextvars.ContextVar("tag_of_call", default=CallTag())  # noqa: B039
# Which of several answers to one question is wanted, where the model samples.
repetition_of_call: contextvars.ContextVar[int] = contextvars.ContextVar("repetition_of_call", default=0)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


class Door:
    """Owns a thread with an event loop; every call of every room goes through it, sync or async.

    The order of writes is: intent, call, response. What is committed is never paid twice.
    """

    def __init__(
        self,
        ledger: Ledger,
        budget: Budget,
        endpoints: Mapping[Role, Endpoint],
        prices: Mapping[Role, Price],
        failures: Failures,
    ) -> None:
        self.ledger, self.budget = ledger, budget
        self._endpoints, self._prices, self._failures = endpoints, prices, failures
        self._wires = {role: endpoint.connect() for role, endpoint in endpoints.items()}
        self._in_flight: dict[str, asyncio.Future[tuple[int, Response]]] = {}
        self._failing_since: float | None = None
        self._loop = asyncio.new_event_loop()
        # One limit an endpoint: a model that answers in two roles is still one queue.
        self._places = {e.identity: asyncio.Semaphore(e.concurrency) for e in endpoints.values()}
        self._jitter = random.Random()  # noqa: S311 - spreads retries, decides nothing
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._thread.start()

    def submit(self, role: Role, request: Request) -> Future[Response]:
        """Make a call on the door's own loop; the future gives its response.

        It raises CallError, BudgetSpent or StoppedByFailures.
        """
        call = self._complete(role, request, tag_of_call.get(), repetition_of_call.get())
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def close(self) -> None:
        """Let go of the connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _hang_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for wire in self._wires.values():
            await wire.aclose()

    async def _complete(self, role: Role, request: Request, tag: CallTag, repetition: int) -> Response:
        tag = CallTag(role, tag.phase, tag.trial)
        data = request_json(request)
        key = call_key(self._endpoints[role].identity, data, repetition)
        known = find_call(self.ledger, key)
        if known is not None:
            await asyncio.wrap_future(count_hit(self.ledger, known[0]))
            return response_from_json(known[1])
        while key in self._in_flight:
            try:
                row, response = await asyncio.shield(self._in_flight[key])
            except asyncio.CancelledError:
                me = asyncio.current_task()
                if me is None or me.cancelling():
                    raise
                continue  # only the caller that went first was cancelled: whoever waited makes the call
            await asyncio.wrap_future(count_hit(self.ledger, row))
            return response
        flight: asyncio.Future[tuple[int, Response]] = self._loop.create_future()
        self._in_flight[key] = flight
        try:
            flight.set_result(await self._pay(role, request, data, key, tag))
        except BaseException as problem:
            flight.set_exception(problem)
            flight.exception()  # nobody else may be waiting; that is no loss
            raise
        finally:
            del self._in_flight[key]
        return flight.result()[1]

    async def _pay(
        self, role: Role, request: Request, data: Mapping[str, Any], key: str, tag: CallTag
    ) -> tuple[int, Response]:
        price = self._prices.get(role, Price())
        charge = Charge(self.budget, tag, price, most_of(data, price))
        async with self._places[self._endpoints[role].identity]:
            await charge.reserve()
            row, begun = None, time.monotonic()
            try:
                async with asyncio.timeout(self.budget.time_left(tag.phase)):
                    row = await asyncio.wrap_future(begin_call(self.ledger, key, tag, data, charge.most))
                    response, attempts = await self._attempt(role, request, row, charge)
            except TimeoutError:  # the job's time; an attempt's own is sorted among the failures
                paid, cut = charge.fail(cut=True), Failure("timeout", "cut when the budget's time was up")
                if row is not None:
                    await asyncio.wrap_future(fail_call(self.ledger, row, cut, paid))
                raise BudgetSpent("time") from None
            except BaseException as problem:
                charge.fail(cut=isinstance(problem, asyncio.CancelledError))
                raise
            usage = metered(response.usage, self._endpoints[role].model, price, charge.most)
            paid = charge.settle(usage, time.monotonic() - begun)
            await asyncio.wrap_future(finish_call(self.ledger, row, response_json(response), paid, attempts))
            if (lost := self.budget.lost.pop(key, None)) is not None:
                await asyncio.wrap_future(rebook_lost(self.ledger, key, charge.known_at_last(lost, usage)))
            return row, response

    async def _attempt(self, role: Role, request: Request, row: int, charge: Charge) -> tuple[Response, int]:
        """Call until an answer comes or the retries are used up; the failure is recorded."""
        for attempt in range(1, self._failures.retries + 2):
            try:
                async with asyncio.timeout(self._endpoints[role].timeout):
                    response = await self._wires[role].acall(request)
            except Exception as problem:  # noqa: BLE001 - the boundary to code of all providers
                error = classify(problem)
                charge.lose(problem, error.kind)
            else:
                self._failing_since = None
                return response, attempt
            wait = self._wait(error, attempt)
            # A provider that asks for more patience than the run has is a failure now, not after its hour.
            if error.kind not in RETRYABLE or attempt > self._failures.retries or wait > self._failures.give_up_after:
                break
            if not charge.renew():
                break
            await asyncio.sleep(wait)
        failure = Failure(error.kind, error.what, attempt)
        await asyncio.wrap_future(fail_call(self.ledger, row, failure, charge.fail()))
        self._give_up(error, role)
        raise error

    def _wait(self, error: CallError, attempt: int) -> float:
        """Return the seconds until the next attempt: what the provider asked, or full jitter."""
        ceiling = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
        return max(error.retry_after or 0.0, self._jitter.uniform(0, ceiling))

    def _give_up(self, error: CallError, role: Role) -> None:
        model = self._endpoints[role].model
        if error.kind in FATAL:
            remedy = "Check the model's name and its key, then run the same command again: nothing paid is lost."
            raise StoppedByFailures(f"{model}: {error.kind.replace('_', ' ')}: {error.what}", remedy)
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= self._failures.give_up_after:
            remedy = "Run the same command with the same --run-dir later: nothing paid is lost."
            raise StoppedByFailures(f"{model}: nothing but failures ({error.kind}: {error.what})", remedy)
