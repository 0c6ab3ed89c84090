"""A door that records requests and answers none: prompts can be rendered without a call."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from optimizer.config.models import ModelConfig, is_local
from optimizer.door.engine import language_model
from optimizer.errors import CallError
from optimizer.models.providers import Endpoint
from optimizer.types import ModelKey

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Request


class Recorder:
    """Stands in for a door: records each request, and answers none."""

    def __init__(self) -> None:
        self.requests: list[tuple[ModelKey, Request]] = []

    def submit(self, model: ModelKey, request: Request) -> Future[Any]:
        """Note a request; the future fails, as for a call that was not answered."""
        self.requests.append((model, request))
        future: Future[Any] = Future()
        future.set_exception(CallError("program", "recorded only"))
        return future

    def model(self, model: ModelKey, asked: ModelConfig) -> dspy.LM:
        """Return the LM whose requests are noted."""
        name = asked.model
        return language_model(self, model, Endpoint("openai/local" if is_local(name) else name, name), asked)
