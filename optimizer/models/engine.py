"""DSPy's engines, sync and async, over anything that gives a future for a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response


class SyncEngine:
    """A DSPy engine that submits each request and waits for its response."""

    def __init__(self, submit: Callable[[Request], Future[Response]]) -> None:
        self._submit = submit

    def complete(self, request: Request) -> Response:
        """Return the response; raises what its future raises."""
        return self._submit(request).result()

    def close(self) -> None:
        """Do nothing: what answers outlives its engines."""


class AsyncEngine:
    """The same for async programs."""

    def __init__(self, submit: Callable[[Request], Future[Response]]) -> None:
        self._submit = submit

    async def complete(self, request: Request) -> Response:
        """Return the response; raises what its future raises."""
        return await asyncio.wrap_future(self._submit(request))

    async def aclose(self) -> None:
        """Do nothing: what answers outlives its engines."""
