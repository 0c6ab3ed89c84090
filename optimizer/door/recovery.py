"""Takes over the batches that an earlier process of a run has handed in: their answers are fetched, not paid again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.door.batching import BatchConnection, least
from optimizer.door.budget import Budget
from optimizer.door.delivery import Delivery
from optimizer.door.keys import response_json
from optimizer.errors import BudgetSpent, CallError
from optimizer.ledger.batches import BatchedCall, OpenBatch, lose_calls, open_batches, recover_call
from optimizer.ledger.calls import CallTag
from optimizer.ledger.ledger import Ledger
from optimizer.models.prices import Price, metered
from optimizer.types import Phase, Role, Usage

if TYPE_CHECKING:
    from dspy.lm15 import Response


@dataclass(frozen=True)
class Source:
    """Who can ask for an endpoint's batches, the endpoint's model, and what a token costs there, by role."""

    connection: BatchConnection
    model: str
    price: Callable[[Role], Price]


class Recovery:
    """Awaits the open batches of a ledger, from the door's first call on; used on the door's loop.

    What was answered is written into the rows of the calls, where the replay finds it. What was not answered cost
    nothing; it is lost, and is asked anew by whoever wants it.
    """

    def __init__(
        self,
        ledger: Ledger,
        budget: Budget,
        delivery: Delivery,
        source_of: Callable[[str], Source | None],
        keep: Callable[[str, dict[str, Any], Usage], bool],
    ) -> None:
        """`source_of` gives who can ask for the batches of an endpoint, by its identity; None where nobody can.

        `keep` is told of each answer by its key; it says whether that key has none yet.
        """
        self._ledger, self._budget, self._delivery = ledger, budget, delivery
        self._source_of, self._keep = source_of, keep
        self._open = open_batches(ledger)
        self._batches = {call.key: batch.id for batch in self._open for call in batch.calls}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def wait_for(self, key: str, phase: Phase) -> None:
        """Wait for the batch in which a call is out, if there is one.

        Raises BudgetSpent where the time of the phase is up before, and StoppedByFailures.
        """
        if not self._batches:
            return
        if not self._tasks:  # the budget has begun by now
            self._tasks = {batch.id: asyncio.ensure_future(self._take_over(batch)) for batch in self._open}
        if key not in self._batches:
            return
        task = self._tasks[self._batches[key]]
        if not (await asyncio.wait([task], timeout=self._budget.time_left(phase)))[0]:
            raise BudgetSpent("time")
        task.result()

    async def _take_over(self, batch: OpenBatch) -> None:
        source = self._source_of(batch.endpoint)
        if source is None:
            await self._delivery.wait(lose_calls(self._ledger, [call.row for call in batch.calls], free=False))
            return
        outcomes = await source.connection.recover(batch, lambda: self._time_left(batch.calls)) or {}
        writes, free, lost = list[Future[int]](), list[int](), list[int]()
        for call in batch.calls:
            outcome = outcomes.get(call.row)
            if outcome is None or isinstance(outcome, BudgetSpent | CallError):
                charged = isinstance(outcome, CallError) and outcome.kind in {"malformed", "truncated"}
                (lost if charged else free).append(call.row)
                if not charged:
                    self._book(call, Usage())
                continue
            writes.append(self._answered(call, outcome, source))
        writes += [lose_calls(self._ledger, rows, free=rows is free) for rows in (free, lost) if rows]
        for write in writes:
            await self._delivery.wait(write)

    def _answered(self, call: BatchedCall, response: Response, source: Source) -> Future[int]:
        usage = metered(response.usage, source.model, source.price(call.role).in_batch, call.booked)
        answer = response_json(response)
        self._book(call, usage)
        if self._keep(call.key, answer, usage):
            return recover_call(self._ledger, call.row, answer, usage)
        return lose_calls(self._ledger, [call.row], free=False)

    def _book(self, call: BatchedCall, paid: Usage) -> None:
        """Let the budget know what a call took, which was taken to have cost the most it can."""
        tokens, usd = paid.tokens - call.booked.tokens, paid.usd - call.booked.usd
        tag = CallTag(call.role, call.phase, call.trial)
        self._budget.settle(tag, Usage(), Usage(paid.calls, 0, tokens, 0, 0, usd))

    def _time_left(self, calls: Sequence[BatchedCall]) -> float | None:
        return least(self._budget.time_left(phase) for phase in {call.phase for call in calls})
