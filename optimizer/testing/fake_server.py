"""A fake provider on 127.0.0.1 that answers by a function, counts every request and fails as ordered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import takewhile
from types import TracebackType
from typing import Any

from aiohttp import web

from optimizer.testing.fake_batches import FakeBatches
from optimizer.testing.faults import Chance, Fault, Plan, Quota
from optimizer.testing.label_model import LabelModel, tokenize
from optimizer.testing.protocols import PATHS, Messages, Protocol, Reply, Token, events, protocol_at, text_of
from optimizer.types import canonical_json

Answer = Callable[[Messages], str]
# Longer than any test waits.
FOR_EVER = 3600.0

__all__ = ["Answer", "FakeServer", "Messages", "text_of"]


class FakeServer:
    """Serves the protocols of OpenAI, Azure, Anthropic and Google's Gemini from a thread; use it in a `with` block.

    `answer` takes the messages of a request and returns the assistant's text, after `delay` seconds. `fail`, `hang_up`,
    `inject`, `break_down`, `limit` and `gamble` make later requests fail, which are counted like any other.
    A LabelModel as `answer` gives log-probabilities and takes `logit_bias`, in the OpenAI protocol; POST /tokenize then
    returns the numbers of a text's pieces, as llama.cpp's server does. With any other `answer`, who asks for
    log-probabilities gets a reply without them.

    batches: those of both protocols, with what is to go wrong with them; their requests are none of `requests`.
    requests, headers: the bodies of all chat requests so far, and their headers.
    times, failed_at: when each request came, and each that failed, by time.monotonic().
    answered, tokens: how many requests were answered with a text, and the tokens sent and made in these answers.
    bodies: how often each request was answered with a text, by its body as canonical JSON.
    spoilt: the tokens of replies that a fault made unreadable: a provider may charge for them.
    abandoned: how many requests the client gave up.
    """

    def __init__(self, answer: Answer, delay: float = 0.0, *, port: int = 0) -> None:
        self.answer, self.delay = answer, delay
        # All requests are handled in the server's one thread, so that nothing here needs a lock.
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.times: list[float] = []
        self.failed_at: list[float] = []
        self.answered = self.tokens = self.abandoned = 0
        self.bodies: Counter[str] = Counter()
        self.spoilt = 0
        self.batches = FakeBatches()
        self._plan = Plan()
        self._room: int | None = None  # words that a request may have
        self._unsupported: tuple[str, ...] = ()  # parameters
        self._last_prompt: dict[str, list[str]] = {}
        self._prefixes: set[tuple[str, str]] = set()  # by model, where a protocol marks what is cached
        self._loop = asyncio.new_event_loop()
        self._runner, self.port = self._loop.run_until_complete(self._listen(port))
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-server", daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of the port; later connections are refused. Harmless if it was stopped before."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        else:
            self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_base(self) -> str:
        """The URL that clients of the OpenAI protocol take, with /v1."""
        return f"{self.url}/v1"

    @property
    def count(self) -> int:
        """How many chat requests came, failed ones included."""
        return len(self.requests)

    def fail(self, status: int, times: int = 1, retry_after: float | None = None) -> None:
        """Answer the next `times` requests with an HTTP error status."""
        self.inject(*[Fault("status", status, retry_after)] * times)

    def hang_up(self, times: int = 1) -> None:
        """Close the connection of the next `times` requests without an answer."""
        self.inject(*[Fault("hang_up")] * times)

    def inject(self, *faults: Fault) -> None:
        """Let the next requests fail in this order, one fault each."""
        self._plan.ordered.extend(faults)

    def break_down(self, fault: Fault) -> None:
        """Let every request fail from now on, until `forgive`."""
        self._plan.lasting = fault

    def gamble(self, chance: Chance) -> None:
        """Let requests fail by chance from now on."""
        self._plan.chance = chance

    def limit(self, per_minute: float, burst: float = 5, announced: bool = False) -> None:
        """Refuse requests beyond a rate with 429; where it is `announced`, OpenAI's rate-limit headers tell of it."""
        self._plan.quota = Quota(per_minute, burst, time.monotonic, announced)

    def narrow(self, words: int) -> None:
        """Refuse requests of more than so many words with 400 from now on, as one that a model has no room for."""
        self._room = words

    def without_parameters(self, *names: str) -> None:
        """Refuse requests in the OpenAI protocol that set one of these parameters with 400 from now on; no others."""
        self._unsupported = names

    def without_logprobs(self) -> None:
        """Refuse requests for log-probabilities with 400 from now on, as a model that has none."""
        self.without_parameters("logprobs", "top_logprobs")

    def forgive(self) -> None:
        """Forget the failures that were ordered and have not come yet."""
        self._plan.clear()

    async def _listen(self, port: int) -> tuple[web.ServerRunner, int]:
        runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        return runner, int(runner.addresses[0][1])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if (raw_fault := self._plan.lasting) is not None and raw_fault.kind == "raw":
            await request.read()
            if request.transport is not None:
                request.transport.write(raw_fault.body)
            return _hang_up(request)  # whatever was asked
        if request.method == "GET" and request.path == "/v1/models":
            return _json({"object": "list", "data": [{"id": "fake", "object": "model"}]})
        if request.method == "POST" and request.path == "/tokenize" and isinstance(self.answer, LabelModel):
            return _tokenized(await request.read())
        if self.batches.knows(request.path):
            return await self._about_batches(request)
        protocol = protocol_at(request.path)
        if protocol is None or request.method != "POST":
            return _json(PATHS["/v1/chat/completions"].error(404, f"no such path: {request.path}"), 404)
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            return _json(protocol.error(400, "the body is not JSON"), 400)
        self.requests.append(body)
        self.headers.append(request.headers)
        self.times.append(time.monotonic())
        fault = self._plan.next(hashlib.sha256(raw).hexdigest())
        if fault is not None:
            self.failed_at.append(self.times[-1])
        headers = {} if self._plan.quota is None else self._plan.quota.headers()
        try:
            return await self._answer(request, protocol, body, fault, headers)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise

    async def _about_batches(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer what is asked about batches and their files; what a request is answered with is counted as ever."""
        raw = await request.read()
        fault = self.batches.fault(request.method, request.path)
        if fault is not None and fault[0] == "before":
            return _hang_up(request) if fault[1].kind == "hang_up" else _failure(request, fault[1])
        body: object = _uploaded(raw) if request.path == "/v1/files" else json.loads(raw) if raw else {}
        status, reply = self.batches.answer(request.method, request.path, request.query, body, self._complete_line)
        if fault is not None:
            return _hang_up(request) if fault[1].kind == "hang_up" else _failure(request, fault[1])
        return _json(reply, status)

    def _complete_line(self, protocol: Protocol, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the reply of a request in a batch."""
        if (refusal := protocol.refusal(body, self._unsupported)) is not None:
            return 400, refusal
        return 200, self._complete(protocol, body, real=True)

    async def _answer(
        self,
        request: web.BaseRequest,
        protocol: Protocol,
        body: dict[str, Any],
        fault: Fault | None,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        if fault is not None and fault.kind == "status":
            wait = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            text = f"told to fail with {fault.status}"
            return _json(protocol.error(fault.status, text), fault.status, {**headers, **wait})
        if self._room is not None and sum(len(text_of(m).split()) for m in protocol.messages(body)) > self._room:
            return _json(protocol.error(400, f"the maximum context length is {self._room} tokens"), 400, headers)
        if (refusal := protocol.refusal(body, self._unsupported)) is not None:
            return _json(refusal, 400, headers)
        seconds = {"hang": FOR_EVER, "slow": self.delay + fault.seconds}.get(fault.kind, 0) if fault else self.delay
        if seconds:
            await asyncio.sleep(seconds)
        if fault is not None and fault.kind == "hang_up":
            return _hang_up(request)
        if fault is not None and fault.kind == "empty":
            return _json(protocol.reply(Reply(0, str(body.get("model", "fake")), "", 0, 0, 0)))
        nonsense = fault is not None and fault.kind != "slow"
        reply = self._complete(protocol, body, real=not nonsense)
        if fault is not None and nonsense:
            return await _broken(request, protocol, reply, fault)
        if body.get("stream"):
            return await _stream(request, protocol, reply, headers)
        return _json(reply, headers=headers)

    def _complete(self, protocol: Protocol, body: dict[str, Any], *, real: bool) -> dict[str, Any]:
        """Return the reply to a request; only a real one is counted as answered."""
        messages = protocol.messages(body)
        text, made, cut, tokens = self._write(protocol, body, messages)
        prompt = "\n".join(f"{message['role']}: {text_of(message)}" for message in messages).split()
        model = str(body.get("model", "fake"))
        sent = len(prompt)
        if not real:
            self.spoilt += sent + made
            return protocol.reply(Reply(0, model, text, sent, made, 0))
        self.answered += 1
        self.tokens += sent + made
        self.bodies[canonical_json(body)] += 1
        cached, written = self._cache(model, messages, prompt, protocol.marked(body))
        return protocol.reply(Reply(self.answered, model, text, sent, made, cached, cut, tokens, written))

    def _cache(self, model: str, messages: Messages, prompt: list[str], marked: int | None) -> tuple[int, int]:
        """Return how many tokens are read from the cache, and how many written into it.

        Where a protocol has marks, the first `marked` messages are cached as a whole, and nothing else.
        """
        if marked is None:
            last = self._last_prompt.get(model, [])
            self._last_prompt[model] = prompt
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(last, prompt, strict=False))), 0
        prefix = "\n".join(f"{one['role']}: {text_of(one)}" for one in messages[:marked])
        count = len(prefix.split())
        if (model, prefix) in self._prefixes:
            return count, 0
        if count:
            self._prefixes.add((model, prefix))
        return 0, count

    def _write(
        self, protocol: Protocol, body: dict[str, Any], messages: Messages
    ) -> tuple[str, int, bool, tuple[Token, ...] | None]:
        """Return the answer's text, its length in tokens, whether it was cut, and the tokens if they were asked for."""
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        limit = limit or (body.get("generationConfig") or {}).get("maxOutputTokens")
        if isinstance(self.answer, LabelModel):
            asked = protocol.sampling(body)
            answer = self.answer.generate(messages, limit, asked.bias, asked.top or 0)
            tokens = None if asked.top is None else answer.tokens
            return answer.text, max(1, len(answer.tokens)), answer.cut, tokens
        words = (text := self.answer(messages)).split()
        limit = limit or len(words)
        cut = len(words) > limit
        return " ".join(words[:limit]) if cut else text, max(1, min(len(words), limit)), cut, None


def _json(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _uploaded(raw: bytes) -> bytes:
    """Return the largest part of a form: the file."""
    boundary = raw[: raw.index(b"\r\n")]
    parts = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in raw.split(boundary)]
    return max(parts, key=len)


def _failure(request: web.BaseRequest, fault: Fault) -> web.Response:
    protocol = PATHS["/v1/messages" if request.path.startswith("/v1/messages") else "/v1/chat/completions"]
    wait = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    return _json(protocol.error(fault.status, f"told to fail with {fault.status}"), fault.status, wait)


def _tokenized(raw: bytes) -> web.Response:
    try:
        content = json.loads(raw)["content"]
        return _json({"tokens": tokenize(content)})
    except (ValueError, LookupError, TypeError):
        return _json(PATHS["/v1/chat/completions"].error(400, 'the body is not {"content": a text}'), 400)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _broken(
    request: web.BaseRequest, protocol: Protocol, reply: dict[str, Any], fault: Fault
) -> web.StreamResponse:
    """Answer 200 with what is no reply."""
    whole = json.dumps(reply).encode()
    if fault.kind == "cut":
        cut = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
        await cut.prepare(request)
        await cut.write(whole[: len(whole) // 2])
        _hang_up(request)
        return cut
    if fault.kind == "wrong_types":
        return _json(protocol.wrong_types(reply))
    if fault.kind == "deep":
        return _json(whole[:-1] + b', "more": ' + b"[" * 5000 + b"]" * 5000 + b"}")
    if fault.kind == "huge_usage":
        usage = {name: 2**63 if isinstance(count, int) else count for name, count in reply["usage"].items()}
        return _json({**reply, "usage": usage})
    return _json(b"" if fault.kind == "empty_body" else whole[: len(whole) // 2])


async def _stream(
    request: web.BaseRequest, protocol: Protocol, reply: dict[str, Any], headers: Mapping[str, str]
) -> web.StreamResponse:
    stream = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream"})
    await stream.prepare(request)
    with contextlib.suppress(ConnectionResetError):
        for event in events(protocol, reply):
            await stream.write(event)
        await stream.write_eof()
    return stream
