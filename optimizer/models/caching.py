"""Marks for Anthropic's prompt cache, where they pay: on what a request has in common with an earlier one."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.types import digest

if TYPE_CHECKING:
    from dspy.lm15 import Message, Request, Response

    from optimizer.models.wire import Wire

# Characters of a prefix. What has fewer is hardly a thousand tokens, the least that any of the models caches.
SHORTEST = 3_000
# Beginnings that are remembered: those of the prompts that are asked at the same time.
REMEMBERED = 64
# Seconds after which the provider forgets.
LIFETIME = 300


class CacheMarks:
    """Marks what a request begins with like an earlier one: the system text, and the demos that follow it.

    A marked prefix is written into the provider's cache for 1.25 times its price, and read for a tenth during the next
    five minutes (Anthropic's documentation, Prompt caching). So one that comes once, or seldom, is not marked, and from
    the third time on it has paid. A mark changes no answer; a prefix that is too short for the model is not cached, and
    costs nothing more. Used on one event loop; `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._earlier: OrderedDict[str, tuple[float, tuple[Message, ...]]] = OrderedDict()

    def marked(self, request: Request) -> Request:
        """Return a request with a mark where it stops being like the last one with the same system text."""
        from dspy.lm15 import CacheConfig

        system = str(request.system or "")
        key = digest(system)
        now = self._clock()
        when, earlier = self._earlier.pop(key, (-math.inf, ()))
        self._earlier[key] = now, request.messages
        if len(self._earlier) > REMEMBERED:
            self._earlier.popitem(last=False)
        if now - when > LIFETIME or request.config.cache is not None:
            return request
        # The last message is the question, which is another one next time.
        common = 0
        for mine, its in zip(request.messages[:-1], earlier[:-1], strict=False):
            if mine != its:
                break
            common += 1
        if len(system) + sum(len(message.text or "") for message in request.messages[:common]) < SHORTEST:
            return request
        cache = CacheConfig(prefix_until_index=common - 1) if common else CacheConfig(prefix="stable")
        return replace(request, config=replace(request.config, cache=cache))


class MarkingWire:
    """A wire whose requests are marked first."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self._marks = wire, CacheMarks()

    async def acall(self, request: Request) -> Response:
        """Return the response; raises what the wire raises."""
        return await self.wire.acall(self._marks.marked(request))

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self.wire.aclose()
