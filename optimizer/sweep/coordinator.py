"""The limits of providers, for all cells of a sweep: one limiter an account, in the driver's process.

A provider that is asked by other programs, too, refuses some calls all the same; each limiter learns that as in a
single run. Calls in flight are counted by each cell for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from optimizer.door.limiter import Limiter
from optimizer.errors import CallError

Reply = Callable[[Mapping[str, Any]], None]


class Coordinator:
    """Lets the calls of all cells through in the order in which they ask; used on one event loop."""

    def __init__(self) -> None:
        self._limiters: dict[str, Limiter] = {}
        self._waiting: set[asyncio.Task[None]] = set()

    def handle(self, message: Mapping[str, Any], reply: Reply) -> None:
        """Take a cell's message; `reply` is called when its turn has come, if it asked for one."""
        limiter = self._limiters.setdefault(message["account"], Limiter())
        if "enter" in message:
            waiting = asyncio.get_running_loop().create_task(_let_through(limiter, message, reply))
            self._waiting.add(waiting)
            waiting.add_done_callback(self._waiting.discard)
        elif "answered" in message:
            limiter.answered(*message["answered"])
        elif "failed" in message:
            sent, about = message["failed"]
            limiter.failed(sent, CallError(about["kind"], about["what"], about["retry_after"]))
        else:
            limiter.read_headers(message["headers"])

    def close(self) -> None:
        """Let nobody through any more."""
        for task in self._waiting:
            task.cancel()


async def _let_through(limiter: Limiter, message: Mapping[str, Any], reply: Reply) -> None:
    await limiter.enter(message["enter"])
    reply({"number": message["number"], "by_chance": limiter.by_chance, "text": limiter.describe()})
