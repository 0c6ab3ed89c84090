"""A Python function as a model: `messages -> text`, sync or async."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from optimizer.config.models import PROVIDER_CALLS, PROVIDER_SECONDS, ModelConfig, Models
from optimizer.errors import CallError, ModelError
from optimizer.models.dialects import dialect
from optimizer.models.engine import AsyncEngine, SyncEngine
from optimizer.models.providers import CALLABLE, Endpoint
from optimizer.models.wire import OnHeaders, Wire
from optimizer.system.source import identity_of, name_of
from optimizer.types import FailureKind, digest

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Request, Response

# A function reports no tokens: so many bytes of text are taken for one.
BYTES_PER_TOKEN = 4
Messages = list[dict[str, Any]]
Ask = Callable[[Messages], str | Awaitable[str]]


def caller_endpoint(function: Ask, limits: Models) -> CallerEndpoint:
    """Return a function as an endpoint; answers are cached under its name, its source and the values it uses."""
    return CallerEndpoint(
        model=f"{CALLABLE}/{name_of(function)}",
        identity=f"{CALLABLE}:{identity_of(function)}",
        timeout=limits.timeout or PROVIDER_SECONDS,
        concurrency=limits.concurrency or PROVIDER_CALLS,
        function=function,
    )


@dataclass(frozen=True)
class CallerEndpoint(Endpoint):
    """Where a function answers. It is given the messages alone: temperature and length are its own affair."""

    function: Ask = str

    @property
    def account(self) -> str:
        """Functions share no limit."""
        return digest(self.identity)

    @property
    def reasons(self) -> bool:
        """Whether DSPy must know the model as one that reasons: it does not know functions."""
        return False

    def dial(self, on_headers: OnHeaders) -> Wire:
        """Return what makes one attempt a call."""
        return CallerWire(self)

    def connect(self, asked: ModelConfig | None = None) -> dspy.LM:
        """Return a dspy.LM that asks the function."""
        import dspy

        submit = CallerWire(self).submit
        engines = {"engine": SyncEngine(submit), "async_engine": AsyncEngine(submit)}
        return dspy.LM(self.model, cache=False, num_retries=0, **engines)


class CallerWire:
    """Asks a function: an async one on a loop that outlives the run, a sync one in a thread.

    Clients with open connections belong to one loop: the same function may be asked in a run and afterwards.
    """

    def __init__(self, endpoint: CallerEndpoint) -> None:
        self._function, self._model = endpoint.function, endpoint.model
        self._name = endpoint.model.partition("/")[2]
        called = getattr(self._function, "__call__", None)  # noqa: B004 - of an object, its method
        self._is_async = inspect.iscoroutinefunction(self._function) or inspect.iscoroutinefunction(called)
        self._threads = ThreadPoolExecutor(endpoint.concurrency, thread_name_prefix="model")

    async def acall(self, request: Request) -> Response:
        """Return the response; raises CallError for what the function raises, ModelError if it returns no text."""
        return await asyncio.wrap_future(self.submit(request))

    def submit(self, request: Request) -> Future[Response]:
        """Ask without waiting; the future gives the response."""
        return asyncio.run_coroutine_threadsafe(self._response(request), _loop())

    async def aclose(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _response(self, request: Request) -> Response:
        from dspy.lm15 import Message, Response, Usage

        messages = messages_of(request)
        text = await self._answer(messages)
        if not isinstance(text, str):
            seen = "None" if text is None else f"{type(text).__name__}, {str(text)[:80]!r}"
            remedy = "Return the answer's text, as in: return reply.choices[0].message.content"
            raise ModelError(f"the model {self._name} returned {seen}, not text", remedy)
        sent = sum(_tokens(str(message["content"])) for message in messages)
        return Response(None, self._model, Message.assistant(text), "stop", Usage(sent, _tokens(text)))

    async def _answer(self, messages: Messages) -> Any:
        if self._is_async:
            answer = self._ask(messages)
        else:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, messages)
        try:
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as problem:  # the boundary to the user's model
            raise self._failure(problem) from problem

    def _ask(self, messages: Messages) -> Any:
        try:
            return self._function(messages)
        except Exception as problem:  # the boundary to the user's model
            raise self._failure(problem) from problem

    def _failure(self, problem: Exception) -> CallError:
        return CallError(kind_of(problem), f"the model {self._name} raised {type(problem).__name__}: {problem}")


def messages_of(request: Request) -> Messages:
    """Return a request's messages as OpenAI has them: a list of {"role": …, "content": …}."""
    body = dialect("openai", "http://127.0.0.1", "none").lm.build_request(request, stream=False).body
    messages: Messages = json.loads(body)["messages"]
    return messages


def kind_of(problem: Exception) -> FailureKind:
    """Return how a call failed that raised this: the network's and the provider's failures are tried again.

    Clients of providers and of HTTP name a status, or their classes after what happened.
    """
    status = getattr(problem, "status_code", None) or getattr(getattr(problem, "response", None), "status_code", None)
    names = [cls.__name__ for cls in type(problem).__mro__]
    if status == 429:
        return "rate_limit"
    if status in (401, 403):
        return "authentication"
    if isinstance(status, int) and status >= 500:
        return "server"
    if any("Timeout" in name for name in names):
        return "timeout"
    network = ("ConnectionError", "ConnectError", "TransportError")
    if isinstance(problem, OSError) or any(name.endswith(network) for name in names):
        return "transport"
    return "program"


def _tokens(text: str) -> int:
    return max(1, -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the loop on which functions are asked, running in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="callers", daemon=True).start()
    return loop
