"""Hands the results of another thread's futures to an event loop, many of them at one waking."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import Future
from functools import partial


class Delivery:
    """Stands in for `asyncio.wrap_future`, which wakes the loop through a socket for each future.

    The ledger commits many writes at once, and resolves their futures one after the other.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended: deque[tuple[asyncio.Future[int], Future[int]]] = deque()
        self._woken = False

    def wait(self, future: Future[int]) -> asyncio.Future[int]:
        """Return a future of the loop that ends as the given one does; called on the loop.

        Cancelling it does not cancel the other: a write that is queued is written.
        """
        waiter: asyncio.Future[int] = self._loop.create_future()
        future.add_done_callback(partial(self._put, waiter))
        return waiter

    def _put(self, waiter: asyncio.Future[int], future: Future[int]) -> None:
        # Runs in the other thread. What is appended before the flag is read is seen by whoever lowers the flag.
        self._ended.append((waiter, future))
        if not self._woken:
            self._woken = True
            # A closed loop has no one who waits: the run ended while this write was queued.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        while self._ended:
            waiter, future = self._ended.popleft()
            if waiter.done():
                continue  # it was cancelled
            problem = future.exception()
            if problem is None:
                waiter.set_result(future.result())
            else:
                waiter.set_exception(problem)
