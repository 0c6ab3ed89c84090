"""A small OpenAI-compatible server on 127.0.0.1 which answers by a function and fails when it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Messages = Sequence[Mapping[str, Any]]
Answer = Callable[[Messages], str]
# A status and its headers; 0 closes the connection without an answer.
Fault = tuple[int, dict[str, str]]

CLOSE = 0


class FakeServer:
    """Serves POST /v1/chat/completions from a daemon thread; use it in a `with` statement.

    `answer` is given the messages of a request and returns the assistant's text. `fail` and
    `hang_up` make the next requests fail, each counted like any other. `delay` is in seconds.
    """

    def __init__(self, answer: Answer, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self._lock = threading.Lock()
        self._faults: deque[Fault] = deque()
        self._requests: list[dict[str, Any]] = []
        self._last_prompt: dict[str, str] = {}
        self._answered = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        # Not told by its default of half a second: tests start and stop many of these.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="fake-server", daemon=True
        )

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of the port; later connections are refused. Harmless if it was stopped before."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def api_base(self) -> str:
        """The URL that clients take, with /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The bodies of all chat requests so far, failed ones included."""
        with self._lock:
            return list(self._requests)

    @property
    def count(self) -> int:
        """How many chat requests came, failed ones included."""
        with self._lock:
            return len(self._requests)

    @property
    def answered(self) -> int:
        """How many chat requests were answered with a text."""
        with self._lock:
            return self._answered

    def fail(self, status: int, times: int = 1, retry_after: float | None = None) -> None:
        """Answer the next `times` requests with an HTTP error status."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        with self._lock:
            self._faults.extend([(status, headers)] * times)

    def hang_up(self, times: int = 1) -> None:
        """Close the connection of the next `times` requests without an answer."""
        with self._lock:
            self._faults.extend([(CLOSE, {})] * times)

    def forgive(self) -> None:
        """Forget the failures that were ordered and have not come yet."""
        with self._lock:
            self._faults.clear()

    def take(self, body: dict[str, Any]) -> Fault | None:
        """Count a request; return what it must fail with, or None."""
        with self._lock:
            self._requests.append(body)
            return self._faults.popleft() if self._faults else None

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the completion of a request, with usage; tokens are words, the cache a common beginning."""
        messages = body.get("messages", [])
        if self.delay:
            time.sleep(self.delay)
        text = self.answer(messages)
        prompt = "\n".join(f"{message['role']}: {text_of(message)}" for message in messages)
        model = str(body.get("model", "fake"))
        with self._lock:
            self._answered += 1
            number = self._answered
            cached = _common_words(self._last_prompt.get(model, ""), prompt)
            self._last_prompt[model] = prompt
        sent, made = len(prompt.split()), max(1, len(text.split()))
        usage = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {**usage, "prompt_tokens_details": {"cached_tokens": cached}},
        }


def text_of(message: Mapping[str, Any]) -> str:
    """Return a chat message's text, also where its content is a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def _common_words(one: str, two: str) -> int:
    count = 0
    for mine, theirs in zip(one.split(), two.split(), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    fake: FakeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hung up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(60)

    def do_POST(self) -> None:
        """Answer one chat request, or fail as told."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/v1/chat/completions":
            self._reply(404, _error(404, f"no such path: {self.path}"))
            return
        try:
            body = json.loads(raw)
        except ValueError:
            self._reply(400, _error(400, "the body is not JSON"))
            return
        fault = self.server.fake.take(body)
        if fault is None:
            self._reply(200, self.server.fake.complete(body))
        elif fault[0] == CLOSE:
            self.close_connection = True
        else:
            self._reply(fault[0], _error(fault[0], f"told to fail with {fault[0]}"), fault[1])

    def do_GET(self) -> None:
        """Answer the list of models."""
        if self.path == "/v1/models":
            self._reply(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        else:
            self._reply(404, _error(404, f"no such path: {self.path}"))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the output of a test is the test's."""

    def _reply(self, status: int, data: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _error(status: int, text: str) -> dict[str, Any]:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    return {"error": {"message": text, "type": kinds.get(status, "server_error"), "code": status}}
