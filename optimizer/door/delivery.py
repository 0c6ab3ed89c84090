"""Brings what another thread's futures give back to an event loop, many of them at one waking."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from functools import partial


class Delivery:
    """Stands in for `asyncio.wrap_future`, which wakes the loop through a socket for each future.

    The ledger commits many writes at once, and resolves their futures one after the other.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._landed: deque[tuple[asyncio.Future[int], Future[int]]] = deque()
        self._woken = False

    def wait(self, future: Future[int]) -> asyncio.Future[int]:
        """Return a future of the loop that will end as this one does; called on the loop.

        To cancel it does not cancel the other: a write that is queued is written.
        """
        mine: asyncio.Future[int] = self._loop.create_future()
        future.add_done_callback(partial(self._land, mine))
        return mine

    def _land(self, mine: asyncio.Future[int], future: Future[int]) -> None:
        # In the other thread. What is put down before the flag is read is seen by whoever lowers it.
        self._landed.append((mine, future))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        while self._landed:
            mine, future = self._landed.popleft()
            if mine.done():
                continue  # its waiter was cancelled
            problem = future.exception()
            if problem is None:
                mine.set_result(future.result())
            else:
                mine.set_exception(problem)
