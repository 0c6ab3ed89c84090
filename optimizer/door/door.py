"""The one door for every model call: cache, single flight, budget, retries, metering."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from optimizer.config.schema import NO_MASKS, Failures, Privacy
from optimizer.door.batching import BatchConnection
from optimizer.door.budget import Budget
from optimizer.door.charges import Charge, most_of
from optimizer.door.connections import Connections
from optimizer.door.delivery import Delivery
from optimizer.door.keys import call_key, response_json
from optimizer.door.recovery import Recovery
from optimizer.errors import BudgetSpent, CallError, LedgerError
from optimizer.ledger.calls import (
    SECONDS,
    CallTag,
    answered_keys,
    begin_call,
    count_hit,
    fail_call,
    find_call,
    finish_call,
    recall_call,
    repeat_call,
)
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.shared import SharedCache
from optimizer.ledger.spend import rebook_lost
from optimizer.models.masks import masks_for
from optimizer.models.prices import Price, metered
from optimizer.models.providers import Endpoint
from optimizer.system.dspy_private import request_to_dict, response_from_dict
from optimizer.types import Failure, ModelKey, Usage, role_of

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

# To a tenth of a millisecond.
DIGITS = 4
# Tokens that an answer is taken to have before the first one is there.
USUAL_ANSWER = 1024
tag_of_call: contextvars.ContextVar[CallTag] = contextvars.ContextVar("tag_of_call", default=CallTag())  # noqa: B039
# Which of several answers to one question is wanted, where the model samples.
repetition_of_call: contextvars.ContextVar[int] = contextvars.ContextVar("repetition_of_call", default=0)


class Answer(NamedTuple):
    """A response, its row in the ledger, its tokens when it was paid for, and their price in dollars.

    `seconds` are those from sending the request that was answered to its answer; None where the cache between runs
    answered, or a batch, which is no time of the model's.
    """

    row: int
    response: Response
    tokens: int
    usd: float = 0.0
    seconds: float | None = None

    @property
    def cut(self) -> bool:
        """Whether it ended at its limit of tokens, not by itself."""
        return bool(self.response.finish_reason == "length")

    @property
    def output_tokens(self) -> int:
        """How many tokens the model made."""
        return int(self.response.usage.output_tokens or 0)


_collected: contextvars.ContextVar[list[Answer] | None] = contextvars.ContextVar("collected", default=None)


@contextmanager
def collected_answers() -> Iterator[list[Answer]]:
    """Collect each answer that is given in this context, paid now or before."""
    answers: list[Answer] = []
    token = _collected.set(answers)
    try:
        yield answers
    finally:
        _collected.reset(token)


class Door:
    """Owns a thread with an event loop; every call of every room goes through it, sync or async.

    The order of writes is: intent, call, response. What is committed is never paid twice.
    """

    def __init__(
        self,
        ledger: Ledger,
        budget: Budget,
        endpoints: Mapping[ModelKey, Endpoint],
        prices: Mapping[ModelKey, Price],
        failures: Failures,
        shared: SharedCache | None = None,
        privacy: Privacy = NO_MASKS,
    ) -> None:
        """`shared` holds what other runs have paid for; what this one pays for is added to it.

        `privacy` says what is masked in requests: cache key, call and ledger see the masked request; the caller gets
        the answer with the data put back.
        Raises ConfigError where what masks is not installed.
        """
        self._masks = {model: masks_for(privacy, endpoint) for model, endpoint in endpoints.items()}
        self.ledger, self.budget, self._shared = ledger, budget, shared
        self._endpoints, self._prices = endpoints, prices
        self._open, self._paying = asyncio.Event(), set[asyncio.Task[Any]]()
        self._open.set()
        self._unwritable: LedgerError | None = None
        self._in_flight: dict[str, asyncio.Future[Answer]] = {}
        self._loop = asyncio.new_event_loop()
        # Only the keys of answers that were at least queued for the ledger are looked up there.
        self._delivery, self._written = Delivery(self._loop), answered_keys(ledger)
        self.connections = Connections(endpoints, prices, failures, ledger, self._delivery)
        self._recovery = Recovery(ledger, budget, self._delivery, self.connections.source_of, self._keep)
        self._longest: dict[ModelKey, int] = {}  # tokens of an answer so far
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._thread.start()

    def submit(self, model: ModelKey, request: Request) -> Future[Response]:
        """Make a call of one of the endpoints on the door's own loop; the future gives its response.

        It raises CallError, BudgetSpent or StoppedByFailures.
        """
        call = self._complete(model, request, tag_of_call.get(), repetition_of_call.get(), _collected.get())
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def drain(self, seconds: float) -> Future[None]:
        """Start no more calls, and give those in flight some seconds to be answered and recorded."""
        return asyncio.run_coroutine_threadsafe(self._drain(seconds), self._loop)

    async def _drain(self, seconds: float) -> None:
        self._open.clear()
        if self._paying:
            await asyncio.wait(self._paying, timeout=seconds)

    def close(self) -> None:
        """Let go of the connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def check_batches(self) -> None:
        """Look whether the endpoints that are to be asked in batches have any; raises ModelError where one has none."""
        asyncio.run_coroutine_threadsafe(self.connections.check_batches(), self._loop).result()

    async def _hang_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.connections.aclose()
        self.ledger.leave()

    async def _complete(
        self, model: ModelKey, request: Request, tag: CallTag, repetition: int, collecting: list[Answer] | None
    ) -> Response:
        masks = self._masks[model]
        request, hidden = (request, None) if masks is None else await asyncio.to_thread(masks.hide, request)
        data = request_to_dict(request)
        key = call_key(self._endpoints[model].identity, data, repetition)
        if hidden is not None and hidden.counts:
            data["masked"] = dict(hidden.counts)  # for the ledger
        answer = await self._answer(model, request, data, key, replace(tag, role=role_of(model)))
        if hidden is not None:
            answer = answer._replace(response=hidden.answer(answer.response))
        if collecting is not None:
            collecting.append(answer)
        return answer.response

    async def _answer(
        self, model: ModelKey, request: Request, data: Mapping[str, Any], key: str, tag: CallTag
    ) -> Answer:
        await self._recovery.wait_for(key, tag.phase)
        known = find_call(self.ledger, key) if key in self._written else None
        if known is not None:
            row, kept, tokens = known
            await self._delivery.wait(count_hit(self.ledger, row))
            seconds = kept.pop(SECONDS, None)
            response = response_from_dict(kept)
            return Answer(row, response, tokens, self._worth(model, data, response), seconds)
        while key in self._in_flight:
            try:
                answer = await asyncio.shield(self._in_flight[key])
            except asyncio.CancelledError:
                me = asyncio.current_task()
                if me is None or me.cancelling():
                    raise
                continue  # only the caller that went first was cancelled: whoever waited makes the call
            await self._delivery.wait(count_hit(self.ledger, answer.row))
            return answer
        flight: asyncio.Future[Answer] = self._loop.create_future()
        self._in_flight[key] = flight
        try:
            flight.set_result(
                await self._recall(model, data, key, tag) or await self._pay(model, request, data, key, tag)
            )
        except BaseException as problem:
            flight.set_exception(problem)
            flight.exception()  # nobody else may be waiting; that is no loss
            raise
        finally:
            del self._in_flight[key]
        return flight.result()

    async def _recall(self, model: ModelKey, data: Mapping[str, Any], key: str, tag: CallTag) -> Answer | None:
        """Return the answer that another run was given, once it is in this run's ledger too."""
        known = None if self._shared is None else self._shared.find(key)
        if self._shared is None or known is None:
            return None
        try:
            response = response_from_dict(known[0])
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            self._shared.give_up(f"an answer in it cannot be read: {problem}")
            return None
        self._written.add(key)
        row = await self._delivery.wait(recall_call(self.ledger, key, tag, data, *known))
        return Answer(row, response, known[1].tokens, self._worth(model, data, response))

    def _worth(self, model: ModelKey, data: Mapping[str, Any], response: Response) -> float:
        """Return the dollars of an answer that is not paid for again."""
        if (price := self._prices.get(model)) is None:
            return 0.0
        return metered(response.usage, self._endpoints[model].model, price, most_of(data, price)).usd

    async def _pay(self, model: ModelKey, request: Request, data: Mapping[str, Any], key: str, tag: CallTag) -> Answer:
        price, connection = self._prices.get(model, Price()), self.connections[model]
        alone = price, most_of(data, price)
        charge = Charge(self.budget, tag, *alone)
        batched = isinstance(connection, BatchConnection)
        if batched:
            charge = Charge(self.budget, tag, price.in_batch, most_of(data, price.in_batch), alone)
        async with connection.slots:
            connection.check()
            await self._enter()
            self._refuse_unwritable()
            await charge.reserve()
            row, begun = None, time.monotonic()
            try:
                async with asyncio.timeout(self.budget.time_left(tag.phase)):
                    intent = await self._written_down(begin_call(self.ledger, key, tag, data, charge.most, batched))
                    self._refuse_unwritable()  # the intent was queued behind an answer, and that may have failed
                    row = charge.row = intent
                    again = partial(self._again, row, charge)
                    likely = _likely_tokens(request, self._longest.get(model, USUAL_ANSWER))
                    outcome, attempts, took = await connection.call(request, likely, charge, again)
            except TimeoutError:  # the job's time; an attempt's own is sorted among the failures
                paid, cut = charge.fail(cut=True), Failure("timeout", "cut when the budget's time was up")
                if row is not None:
                    await self._written_down(fail_call(self.ledger, row, cut, paid))
                raise BudgetSpent("time") from None
            except BudgetSpent:  # it was out in a batch, which was cancelled: that costs nothing
                if row is not None:
                    cut = Failure("timeout", "cut with its batch when the budget's time was up")
                    await self._written_down(fail_call(self.ledger, row, cut, charge.fail()))
                raise
            except BaseException:
                charge.fail(cut=row is not None)  # it was in flight, and may have been answered
                raise
            if isinstance(outcome, CallError):
                failure = Failure(outcome.kind, outcome.what, attempts)
                await self._written_down(fail_call(self.ledger, row, failure, charge.fail()))
                connection.check()
                raise outcome
            usage = metered(outcome.usage, self._endpoints[model].model, charge.price, charge.most)
            self._longest[model] = max(usage.output_tokens, self._longest.get(model, 0))
            paid = charge.settle(usage, time.monotonic() - begun)
            answer = response_json(outcome)
            self._written.add(key)  # before the wait: the answer is committed even if the caller leaves
            seconds = None if took is None else round(took, DIGITS)  # as a resumed run reads it
            kept = answer if seconds is None else {**answer, SECONDS: seconds}
            written = finish_call(self.ledger, row, kept, paid, attempts, usage)
            await self._written_down(written)
            if self._shared is not None:
                self._shared.put(key, answer, usage)
            if (lost := self.budget.lost.pop(key, None)) is not None:
                await self._written_down(rebook_lost(self.ledger, key, charge.known_at_last(lost, usage)))
            worth = metered(outcome.usage, self._endpoints[model].model, *alone).usd
            return Answer(row, outcome, usage.tokens, worth, seconds)

    async def _again(self, row: int, charge: Charge) -> bool:
        """Hold what a further attempt can cost, and book it with the lost ones; False where there is no room.

        A kill during that attempt leaves only what is booked here.
        """
        held = charge.holds
        if self._unwritable is not None or not charge.renew():
            return False
        if charge.holds > held:
            await self._written_down(repeat_call(self.ledger, row, charge.holds, charge.most))
        return True

    async def _written_down(self, write: Future[int]) -> int:
        """Wait for a write; once one failed, no call is begun any more: what it was answered might be lost, too."""
        try:
            return await self._delivery.wait(write)
        except LedgerError as problem:
            self._unwritable = problem
            raise

    def _refuse_unwritable(self) -> None:
        if self._unwritable is not None:
            raise self._unwritable

    def _keep(self, key: str, answer: dict[str, Any], usage: Usage) -> bool:
        """Take note of an answer of a batch of before; False where the call is answered already."""
        if key in self._written:
            return False
        self._written.add(key)
        if self._shared is not None:
            self._shared.put(key, answer, usage)
        return True

    async def _enter(self) -> None:
        """Count the current task among those that pay; once the door is drained, wait for ever."""
        await self._open.wait()
        me = asyncio.current_task()
        if me is not None:
            self._paying.add(me)
            me.add_done_callback(self._paying.discard)


def _likely_tokens(request: Request, longest: int) -> int:
    """Return what a call may take, for the limiter: two characters a token, and the longest answer so far."""
    text = sum(len(message.text or "") for message in request.messages) + len(str(request.system or ""))
    return text // 2 + min(longest, request.config.max_tokens or longest)
