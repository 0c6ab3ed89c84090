"""Runs a job in a thread, where an event loop is running already, and lets others ask it to stop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class StopRequest:
    """How a job in another thread is asked to stop; it may be asked before it can hear."""

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], object] = _nothing
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Ask the job to stop in order."""
        with self._lock:
            self._asked, stop = True, self._stop
        stop()

    @contextmanager
    def heard_by(self, stop: Callable[[], object]) -> Iterator[None]:
        """Let `stop` be called when the job is asked, or at once if it was asked before."""
        with self._lock:
            self._stop, asked = stop, self._asked
        if asked:
            stop()
        try:
            yield
        finally:
            with self._lock:
                self._stop = _nothing


stop_request: contextvars.ContextVar[StopRequest | None] = contextvars.ContextVar("stop_request", default=None)


def in_a_thread(job: Callable[[], T]) -> tuple[Future[T], StopRequest]:
    """Start a job in a thread of its own, with the caller's context; returns its future and how to stop it."""
    request, future = StopRequest(), Future[T]()
    context = contextvars.copy_context()
    context.run(stop_request.set, request)

    def work() -> None:
        try:
            future.set_result(context.run(job))
        except BaseException as problem:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(problem)

    threading.Thread(target=work, name="metier-job", daemon=True).start()
    return future, request


def outside_the_loop(job: Callable[[], T]) -> T:
    """Run a job that starts an event loop; in a notebook, which has one already, in a thread.

    The first interrupt asks the job to stop in order, the second one leaves it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return job()
    future, request = in_a_thread(job)
    try:
        return future.result()
    except KeyboardInterrupt:
        request.ask()
        return future.result()


async def beside_the_loop(job: Callable[[], T]) -> T:
    """Run a job in a thread and await it; a task that is cancelled waits until the job has stopped in order."""
    future, request = in_a_thread(job)
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        request.ask()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            waiting.exception()  # what it was stopped with is known
        raise


def _nothing() -> None:
    """Do nothing: the job cannot hear yet, or has ended."""
