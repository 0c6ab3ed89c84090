"""Who may spend the last of a budget: blocks begin together only where it surely pays for all of them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


def unlimited() -> float:
    """Return that the calls are not limited."""
    return math.inf


class Admission:
    """Lets blocks of examples begin in the order in which they came, as many at once as can surely be paid for.

    Any other waits until all before it have ended, and begins alone. So which blocks are completed before the
    calls run out depends on their order, not on whose answers come first: a program with several predictors needs
    several calls an example, one after the other, and a later block's first calls would take those that an earlier
    block's second ones need. "Surely" goes by the calls that an example has taken so far at most; tokens, dollars and
    time are not foreseen here.
    """

    def __init__(self, left: Callable[[], float] = unlimited) -> None:
        """`left` tells how many calls nobody has spent or holds."""
        self._left, self._room, self._running, self._reserved = left, 0.0, 0, 0
        self._line: deque[object] = deque()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, calls: int) -> AsyncIterator[None]:
        """Wait until a block of at most so many calls may begin; leaving the context tells that it has ended."""
        await self._begin(calls)
        try:
            yield
        finally:
            async with self._changed:
                self._running, self._reserved = self._running - 1, self._reserved - calls
                self._changed.notify_all()

    async def _begin(self, calls: int) -> None:
        async with self._changed:
            me = object()
            self._line.append(me)
            try:
                await self._changed.wait_for(lambda: self._line[0] is me and self._fits(calls))
                self._running, self._reserved = self._running + 1, self._reserved + calls
                self._room -= calls
            finally:
                self._line.remove(me)
                self._changed.notify_all()

    def _fits(self, calls: int) -> bool:
        # Two safe bounds: what was left when the first of those that run began, less all that began since; and what is
        # left now, less all that those that run may take, as if they had spent nothing yet.
        self._room = max(self._room, self._left() - self._reserved) if self._running else self._left()
        return not self._running or calls <= max(0.0, self._room)  # no calls fit, whatever is left
