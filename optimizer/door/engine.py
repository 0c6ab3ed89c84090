"""The door as DSPy sees it: a language model whose calls go through the door."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from optimizer.config.models import ModelConfig
from optimizer.models.engine import AsyncEngine, SyncEngine
from optimizer.models.providers import REASONING_LIMIT, Endpoint
from optimizer.types import ModelKey

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Request, Response

__all__ = ["AsyncEngine", "Submits", "SyncEngine", "language_model"]


class Submits(Protocol):
    """What an engine needs of a door."""

    def submit(self, model: ModelKey, request: Request) -> Future[Response]:
        """Make a call; see `Door.submit`."""


def language_model(door: Submits, model: ModelKey, endpoint: Endpoint, asked: ModelConfig) -> dspy.LM:
    """Return the endpoint's LM, whose calls go through the door: no cache and no retries of its own.

    `asked` holds its temperature, limit, stop texts and effort. A model that reasons spends a predictor's limit before
    it answers: only the LM's own limit is kept.
    """
    from dspy.clients.backend_selection import CLIENT_KEYS

    bare = endpoint.connect(asked)
    reasons = endpoint.reasons or asked.reasons
    own_limit = bare.kwargs.get(REASONING_LIMIT if endpoint.reasons else "max_tokens")
    # DSPy refuses an engine beside what configures a connection, and two limits that differ.
    lm = bare.copy(**dict.fromkeys({*CLIENT_KEYS, REASONING_LIMIT} & set(bare.kwargs)))

    def submit(request: Request) -> Future[Response]:
        if reasons:
            request = replace(request, config=replace(request.config, max_tokens=own_limit))
        return door.submit(model, request)

    return lm.copy(engine=SyncEngine(submit), async_engine=AsyncEngine(submit))
