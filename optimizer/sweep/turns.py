"""A cell's end of the limits that all cells of a sweep share: it asks the driver for each call's turn."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from optimizer.errors import CallError


class Line:
    """The line to the driver: what is sent goes out at once, what comes back wakes who waits for it."""

    def __init__(self, news: IO[str]) -> None:
        self._news, self._lock = news, threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[dict[str, Any]]]] = {}

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; where the driver is gone, nothing: the cell is about to be stopped."""
        with self._lock, suppress(OSError):
            self._news.write(json.dumps(message) + "\n")
            self._news.flush()

    async def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message and return the reply to it."""
        loop = asyncio.get_running_loop()
        number, future = next(self._numbers), loop.create_future()
        self._waiting[number] = (loop, future)
        try:
            self.send({**message, "number": number})
            reply: dict[str, Any] = await future
            return reply
        finally:
            self._waiting.pop(number, None)

    def receive(self, reply: dict[str, Any]) -> None:
        """Take a reply; called in the thread that reads the line."""
        loop, future = self._waiting.get(reply["number"], (None, None))
        if loop is not None and future is not None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_resolve, future, reply)


def _resolve(future: asyncio.Future[dict[str, Any]], reply: dict[str, Any]) -> None:
    if not future.done():
        future.set_result(reply)


class SharedLimiter:
    """Lets the calls of one account through when the driver does, which counts those of all cells.

    Processes of one machine share `time.monotonic`.
    """

    def __init__(self, line: Line, account: str) -> None:
        self._line, self._account = line, account
        self._chance, self._text = False, ""

    @property
    def by_chance(self) -> bool:
        """Whether refusals come at random, as far as the last turn told."""
        return self._chance

    async def enter(self, tokens: int) -> float:
        """Wait for a call's turn; return the time at which it was let through (time.monotonic)."""
        reply = await self._line.ask({"enter": tokens, "account": self._account})
        self._chance, self._text = reply["by_chance"], reply["text"]
        return time.monotonic()

    def answered(self, sent: float, tokens: int, used: int) -> None:
        """Tell that a call was answered."""
        self._line.send({"answered": [sent, tokens, used], "account": self._account})

    def failed(self, sent: float, error: CallError) -> None:
        """Tell of a failed call."""
        about = {"kind": error.kind, "what": error.what, "retry_after": error.retry_after}
        self._line.send({"failed": [sent, about], "account": self._account})

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Tell what a reply's headers say of the provider's limits."""
        limits = {name: value for name, value in headers.items() if "ratelimit" in name.lower()}
        if limits:
            self._line.send({"headers": limits, "account": self._account})

    def describe(self) -> str:
        """Return what the driver knew of the limits at the last turn."""
        return self._text
