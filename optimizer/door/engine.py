"""The door as DSPy sees it: an engine with `complete(Request) -> Response`, sync and async."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.door.door import Door
from optimizer.types import Role

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Request, Response


class SyncEngine:
    """A DSPy engine that sends each request through the door and waits for it."""

    def __init__(self, door: Door, role: Role) -> None:
        self._door, self._role = door, role

    def complete(self, request: Request) -> Response:
        """Return the response; raises what `Door.submit` raises."""
        return self._door.submit(self._role, request).result()

    def close(self) -> None:
        """Do nothing: the door outlives its engines."""


class AsyncEngine:
    """The same for async programs."""

    def __init__(self, door: Door, role: Role) -> None:
        self._door, self._role = door, role

    async def complete(self, request: Request) -> Response:
        """Return the response; raises what `Door.submit` raises."""
        return await asyncio.wrap_future(self._door.submit(self._role, request))

    async def aclose(self) -> None:
        """Do nothing: the door outlives its engines."""


class _Uncapped(SyncEngine):
    """Sends requests without a limit on the answer: a reasoning model spends it before it answers."""

    def complete(self, request: Request) -> Response:
        """Return the response; raises what `Door.submit` raises."""
        return super().complete(_without_limit(request))


class _AsyncUncapped(AsyncEngine):
    """The same for async programs."""

    async def complete(self, request: Request) -> Response:
        """Return the response; raises what `Door.submit` raises."""
        return await super().complete(_without_limit(request))


def _without_limit(request: Request) -> Request:
    return replace(request, config=replace(request.config, max_tokens=None))


def _uncapped(door: Door, role: Role) -> dict[str, SyncEngine | AsyncEngine]:
    return {"engine": _Uncapped(door, role), "async_engine": _AsyncUncapped(door, role)}


def through(door: Door, role: Role, lm: dspy.LM) -> dspy.LM:
    """Return a copy of a user's LM, sampling settings and all, whose calls go through the door."""
    from dspy.clients.backend_selection import CLIENT_KEYS

    # DSPy refuses an engine beside what configures a connection: the endpoint has that.
    bare = lm.copy(cache=False, num_retries=0, **dict.fromkeys(CLIENT_KEYS & set(lm.kwargs)))
    return bare.copy(engine=SyncEngine(door, role), async_engine=AsyncEngine(door, role))


def language_model(door: Door, role: Role, model: str, temperature: float) -> dspy.LM:
    """Return the dspy.LM that programs of a role are run with: no cache and no retries of its own."""
    import dspy

    engines = {"engine": SyncEngine(door, role), "async_engine": AsyncEngine(door, role)}
    try:
        # DSPy's check lets a temperature of 0 pass, which the provider then refuses: it is asked with another.
        dspy.LM(model, cache=False, num_retries=0, temperature=temperature or 0.5, **engines)
        return dspy.LM(model, cache=False, num_retries=0, temperature=temperature, **engines)
    except dspy.utils.exceptions.LMConfigurationError:
        # Reasoning models refuse a temperature.
        return dspy.LM(model, cache=False, num_retries=0, **_uncapped(door, role))
