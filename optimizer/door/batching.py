"""Calls to one endpoint that go in batches: it stands in for a Connection behind the door.

The rooms ask call by call, as ever, many at once. What is asked waits here until nothing more has come for a moment
(QUIET); then all that waits is handed in as one batch, which is looked at now and then until it has ended, and each
answer is given to who waits for it. So the race, the budget and the ledger are those of any run, and what a round asks
is one batch, whatever limits the calls in flight elsewhere. Fewer than FEWEST calls are no batch: they are asked one by
one at their own price, as the first call of a run is, and what is repeated of a batch. Only where the budget has no
room for that price do they wait in a batch, too.

What keeps a batch from being handed in twice: before its submission its label and its calls are written down (label,
`calls.batch`), and after it the provider's id. Where a submission may have come through (a connection that broke, an
error 5xx, a kill), the provider's list is looked through for the label before anything else is done; see
`models/batches.py` for what that proves. After a kill nothing is handed in again: an open batch is awaited by
`recover`, its answers are written into the rows of its calls, and the replay finds them there.

What becomes of a request of a batch:

- answered: as any answer; one that cannot be used is repeated.
- an error of its own: by its kind, as if it had been asked alone: repeated (429, 5xx), or failed for good (400).
- expired, or cancelled by somebody: it cost nothing, and is repeated, up to `failures.retries` times.
- refused with the whole batch: those that the provider names as wrong fail, the others are repeated. Where it is full,
  later, in batches of half the size.
- out in a batch that the provider has no more: it may have been charged, and is repeated.
- out when the budget's time is nearly up: the batch is cancelled, what is answered by then is taken, and the rest ends
  as calls do whose time is up. It cost nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from optimizer.config.models import BATCH_CALLS
from optimizer.config.schema import Failures
from optimizer.door.breaker import Breaker
from optimizer.door.charges import Charge
from optimizer.door.connection import Connection, Ended
from optimizer.door.delivery import Delivery
from optimizer.door.failures import FATAL, RETRYABLE, checked, classify, problem_with
from optimizer.door.submissions import Gone, Out, Say, Submissions, TimeLeft
from optimizer.errors import BudgetSpent, CallError, ModelError
from optimizer.ledger.batches import (
    OpenBatch,
    batch_out,
    begin_batch,
    end_batch,
    put_calls,
)
from optimizer.ledger.calls import repeat_call
from optimizer.ledger.ledger import Ledger
from optimizer.models.batches import Batches, Reply, State, Unanswered, batches_of
from optimizer.models.prices import metered
from optimizer.models.providers import BATCH_REMEDY, Endpoint
from optimizer.models.wire import HttpWire
from optimizer.system.redact import scrub

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response


QUIET = 2.0  # seconds without a further call, after which those that wait are handed in
FEWEST = 20  # calls: what fewer save is not worth the wait; a pre-check has 10, and so has a race's block


@dataclass(eq=False)
class _Waiting:
    """A call that waits for its answer; `insists` where it cannot be asked alone."""

    request: Request
    charge: Charge
    future: asyncio.Future[Response | CallError | Literal["alone"]]
    insists: bool = False


class BatchConnection:
    """Makes calls to one endpoint in batches; used on one event loop."""

    def __init__(
        self, endpoint: Endpoint, ordinary: Connection, failures: Failures, ledger: Ledger, delivery: Delivery, say: Say
    ) -> None:
        """`ordinary` makes the calls that are asked alone; `say` is told what is handed in and what comes back."""
        self._endpoint, self._ordinary, self._failures = endpoint, ordinary, failures
        self._ledger, self._delivery, self._say = ledger, delivery, say
        self._breaker = Breaker(endpoint.model, failures.give_up_after)
        self._wire: HttpWire = endpoint.batch_wire(lambda headers: None)
        self._api: Batches = batches_of(self._wire, endpoint.model.partition("/")[0])
        self._most = self._api.most_requests
        parts = (endpoint, self._api, self._breaker, ordinary.backoff, failures.retries, ledger, delivery, say)
        self._submissions = Submissions(*parts)
        self._queue: list[_Waiting] = []
        self._arrived = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering = False
        self.slots = asyncio.Semaphore(BATCH_CALLS)
        self.out: list[Out] = []

    def check(self) -> None:
        """Raise StoppedByFailures if this endpoint is not to be asked any more."""
        self._breaker.check()
        self._ordinary.check()

    def limits(self) -> str:
        """Return what is known of the provider's limits, in words."""
        return self._ordinary.limits()

    async def probe(self) -> None:
        """Ask for the list of batches; raises ModelError where there is none, and nothing where nobody answers now."""
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                await self._api.probe()
        except Exception as problem:
            error = classify(problem)
            if error is None:
                raise
            if error.kind not in RETRYABLE or error.kind == "malformed":
                what = f"models.batch: {self._endpoint.model} at {self._endpoint.address} has no batches ({error.what})"
                raise ModelError(scrub(what), BATCH_REMEDY) from None

    async def aclose(self) -> None:
        """Let go of the connections; what is out stays out."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wire.aclose()
        await self._ordinary.aclose()

    async def call(self, request: Request, tokens: int, charge: Charge, again: Callable[[], Awaitable[bool]]) -> Ended:
        """Return the answer, or how the call failed for good, and the attempts made; see Connection.call.

        Raises BudgetSpent where it was out when its time was up, and StoppedByFailures.
        """
        attempt, insists = 0, False
        while True:
            outcome = await self._next_batch(request, charge, insists)
            if outcome == "alone":
                if charge.leave_batch():
                    await self._written(put_calls(self._ledger, None, [charge.row]))
                    await self._written(repeat_call(self._ledger, charge.row, charge.holds, charge.most))
                    ended = await self._ordinary.call(request, tokens, charge, again)
                    return ended._replace(attempts=attempt + ended.attempts)
                insists = True
                continue
            attempt += 1
            if not isinstance(outcome, CallError):
                return Ended(outcome, attempt, None)
            if outcome.kind not in RETRYABLE or attempt > self._failures.retries or not await again():
                return Ended(outcome, attempt, None)
            if outcome.kind == "rate_limit":
                await asyncio.sleep(self._ordinary.backoff(attempt))

    async def _next_batch(
        self, request: Request, charge: Charge, insists: bool
    ) -> Response | CallError | Literal["alone"]:
        """Wait in the next batch for what comes of a call; "alone" where there is no batch for it."""
        waiting = _Waiting(request, charge, asyncio.get_running_loop().create_future(), insists)
        self._queue.append(waiting)
        self._arrived += 1
        if not self._gathering:
            self._gathering = True
            self._begin(self._gather())
        return await waiting.future

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _gather(self) -> None:
        """Hand in what waits, each time that nothing more came for a moment."""
        try:
            while self._queue:
                arrived = self._arrived
                await asyncio.sleep(QUIET)
                if self._arrived == arrived:
                    group, self._queue = [one for one in self._queue if not one.future.done()], []
                    self._hand_in(group)
        finally:
            self._gathering = False

    def _hand_in(self, group: Sequence[_Waiting]) -> None:
        batched = list(group)
        if len(group) < FEWEST:
            batched = [one for one in group if one.insists]
            for one in group:
                if not one.insists:
                    one.future.set_result("alone")
        while batched:
            part: list[_Waiting] = []
            size = 0
            for one in batched[: self._most]:
                size += one.charge.most.input_tokens  # a token is a byte at least: see `most_of`
                if part and size > self._api.most_bytes:
                    break
                part.append(one)
            batched = batched[len(part) :]
            self._begin(self._play(part))

    async def _play(self, calls: Sequence[_Waiting]) -> None:
        """Hand a batch in, wait for its end, and give each call what came of it; none is left waiting."""
        try:
            await self._to_the_end(calls)
        except BaseException as problem:
            for one in calls:
                if not one.future.done():
                    if isinstance(problem, asyncio.CancelledError):
                        one.future.cancel()
                    else:
                        one.future.set_exception(problem)
            if not isinstance(problem, Exception):
                raise

    async def _to_the_end(self, calls: Sequence[_Waiting]) -> None:
        label = f"metier-{secrets.token_hex(8)}"
        bodies = await asyncio.to_thread(
            lambda: {f"{label}-{one.charge.row}": self._wire.body_of(one.request) for one in calls}
        )
        batch = await self._written(begin_batch(self._ledger, label, self._endpoint.identity, len(calls)))
        await self._written(put_calls(self._ledger, batch, [one.charge.row for one in calls]))
        out = Out(len(calls), 0, time.monotonic())
        self.out.append(out)
        try:
            try:
                name = await self._submissions.submit(label, bodies)
            except CallError as refused:
                await self._written(end_batch(self._ledger, batch, "refused", 0))
                self._say(f"a batch of {len(calls):,} calls was refused: {refused.what}")
                self._refused(calls, State("refused", 0, refused.what), refused)
                return
            await self._written(batch_out(self._ledger, batch, name))
            self._say(f"a batch of {len(calls):,} calls is out ({name})")
            state, cut = await self._submissions.awaited(
                batch, name, out, lambda: least(one.charge.time_left() for one in calls)
            )
            if state.status == "refused":
                await self._written(end_batch(self._ledger, batch, "refused", 0))
                self._say(f"a batch of {len(calls):,} calls was refused: {state.why}")
                self._refused(calls, state)
                return
            results = await self._submissions.results(name)
            taken = 0
            for one in calls:
                outcome = self._outcome(one.request, results.get(f"{label}-{one.charge.row}"), one.charge, cut)
                taken += not isinstance(outcome, Exception)
                if one.future.done():
                    continue
                if isinstance(outcome, BudgetSpent):
                    one.future.set_exception(outcome)
                else:
                    one.future.set_result(outcome)
            await self._written(end_batch(self._ledger, batch, "ended", taken))
            self._say(f"a batch of {len(calls):,} calls has ended: {taken:,} answered")
        except Gone as gone:
            await self._written(end_batch(self._ledger, batch, "ended", 0))
            self._say(gone.what)
            for one in calls:
                if not one.future.done():
                    one.charge.lose(gone, gone.kind)
                    one.future.set_result(gone)
        finally:
            self.out.remove(out)

    def _refused(self, calls: Sequence[_Waiting], state: State, error: CallError | None = None) -> None:
        """Tell the calls of a batch that it was not begun."""
        if state.full:
            self._most = max(1, len(calls) // 2)
        why = f"the batch was refused: {state.why}"
        for number, one in enumerate(calls):
            if one.future.done():
                continue
            if error is not None:
                one.future.set_result(CallError(error.kind, why))
            elif number in state.wrong or not (state.wrong or state.full):
                one.future.set_result(CallError("invalid_request", why))
            else:
                one.future.set_result(CallError("rate_limit" if state.full else "server", why))

    async def recover(self, batch: OpenBatch, left: TimeLeft) -> dict[int, Response | CallError | BudgetSpent] | None:
        """Wait for a batch of an earlier process; returns what came of each of its calls, by row.

        None is a batch that was never handed in. Raises StoppedByFailures.
        """
        from optimizer.system.dspy_private import request_from_dict

        name = batch.provider
        if name is None:
            age = self._ledger.clock.now() - batch.started
            name = await self._submissions.find(batch.label, batch.requests, batch.started, age)
            if name is None:
                await self._written(end_batch(self._ledger, batch.id, "refused", 0))
                return None
            await self._written(batch_out(self._ledger, batch.id, name))
        self._say(f"a batch of {batch.requests:,} calls is out since before ({name})")
        out = Out(batch.requests, 0, time.monotonic() - max(0.0, self._ledger.clock.now() - batch.started))
        self.out.append(out)
        try:
            state, cut = await self._submissions.awaited(batch.id, name, out, left)
            if state.status == "refused":
                return None
            results = await self._submissions.results(name)
        except Gone as gone:
            await self._written(end_batch(self._ledger, batch.id, "ended", 0))
            self._say(gone.what)
            return {call.row: gone for call in batch.calls}
        finally:
            self.out.remove(out)
        outcomes = {}
        for call in batch.calls:
            request = request_from_dict({k: v for k, v in call.request.items() if k != "masked"})
            outcomes[call.row] = self._outcome(request, results.get(f"{batch.label}-{call.row}"), None, cut)
        answered = sum(not isinstance(outcome, Exception) for outcome in outcomes.values())
        await self._written(end_batch(self._ledger, batch.id, "ended", state.answered))
        self._say(f"a batch of {batch.requests:,} calls has ended: {answered:,} answered that were not known")
        return outcomes

    def _outcome(
        self, request: Request, result: Reply | Unanswered | None, charge: Charge | None, cut: bool
    ) -> Response | CallError | BudgetSpent:
        """Return what came of a request; `cut` tells that we cancelled its batch."""
        if result == "cancelled" and cut:
            return BudgetSpent("time")
        if isinstance(result, str):
            return CallError("server", f"the batch was {result} before it was answered")
        if result is None:
            return CallError("malformed", "the results of the batch leave it out")
        try:
            response = checked(self._wire.read(request, result.status, {}, result.body))
        except Exception as problem:  # the boundary to the provider's reply
            error = classify(problem)
            if error is None:
                raise
            if result.status < 400 and charge is not None:
                charge.lose(error, error.kind)
            if error.kind in FATAL:
                self._breaker.failed(error, time.monotonic())
            return error
        error = problem_with(response)
        if error is None:
            return response
        if charge is not None:
            charge.waste(metered(response.usage, self._endpoint.model, charge.price, charge.most))
        return error

    def _written(self, write: Future[int]) -> Awaitable[int]:
        return self._delivery.wait(write)


def least(times: Iterable[float | None]) -> float | None:
    """Return the least of some times; None where none is limited."""
    return min((one for one in times if one is not None), default=None)
