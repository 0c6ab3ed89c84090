"""What SIGINT and SIGTERM do to a run: the first one ends it in order, the second one at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from optimizer.job.background import stop_request

if TYPE_CHECKING:
    from optimizer.door.door import Door

EXIT_CODE = 130
DRAIN_SECONDS = 5.0
_NEWS = b"\nStopping: waiting for the calls in flight. Once more ends it at once.\n"


class Drain:
    """Lets the calls in flight be answered and recorded, once there is a door."""

    def __init__(self) -> None:
        self.door: Door | None = None

    async def __call__(self) -> None:
        """Wait for them, some seconds at most; no further call begins."""
        if self.door is not None:
            await asyncio.wrap_future(self.door.drain(DRAIN_SECONDS))


@contextmanager
def cancelled_by_signals(drain: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM await `drain`, then cancel the current task.

    The second one ends the process. In another thread than the main one, a StopRequest does what the first one does.
    """
    loop, job = asyncio.get_running_loop(), asyncio.current_task()
    assert job is not None  # noqa: S101 - there is one inside a coroutine
    stopping: list[asyncio.Task[None]] = []

    async def stop() -> None:
        try:
            await drain()
        finally:
            job.cancel()

    def take(number: int, frame: FrameType | None) -> None:
        if stopping:
            os._exit(EXIT_CODE)
        os.write(2, _NEWS)
        stopping.append(loop.create_task(stop()))
        loop.call_soon_threadsafe(lambda: None)  # wakes a loop that waits for input

    def begin() -> None:
        if not stopping:
            stopping.append(loop.create_task(stop()))

    before, request = _install(take), stop_request.get()
    try:
        with nullcontext() if request is None else request.heard_by(partial(loop.call_soon_threadsafe, begin)):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for task in stopping:
            task.cancel()


def _install(take: Callable[[int, FrameType | None], None]) -> dict[int, signal._HANDLER]:
    """Install a handler; unlike the loop's own it works while the loop is busy loading something."""
    try:
        return {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        return {}
