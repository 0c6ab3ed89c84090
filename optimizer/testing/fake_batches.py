"""The batches of a fake provider, in OpenAI's and Anthropic's protocol: handed in, answered later, listed, cancelled.

What a batch is answered with is what its requests would be answered with alone, out of order.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from optimizer.testing.faults import Fault
from optimizer.testing.protocols import Anthropic, OpenAI, Protocol

# What becomes of a line beside being answered: it expires, is cancelled, or fails with an HTTP status.
Fate = Literal["expired", "canceled"] | int
Complete = Callable[[Protocol, dict[str, Any]], tuple[int, dict[str, Any]]]
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ERRORS = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}


@dataclass
class FakeBatch:
    """A batch that was handed in: `lines` by custom id, and what came of each once it has ended.

    `about` is what the provider keeps of it; `ends` when it ends by itself, in time.monotonic.
    """

    id: str
    protocol: Protocol
    lines: Mapping[str, dict[str, Any]]
    about: Mapping[str, Any]
    ends: float
    created: float = field(default_factory=time.time)
    cancelled: bool = False
    refused: Sequence[Mapping[str, Any]] = ()
    results: dict[str, tuple[int, dict[str, Any]] | Literal["expired", "canceled"]] | None = None

    @property
    def ended(self) -> bool:
        """Whether every request has come to something."""
        return self.results is not None


class FakeBatches:
    """Batches that end `delay` seconds after they were handed in; used in the server's own thread.

    fates: what becomes of the next lines, in the order in which they are worked on; None is an answer.
    faults: what goes wrong with the next batches that are handed in. One that comes "after" does what is asked first:
    the batch is there, and the client is told of a failure.
    troubles: what goes wrong with the next requests about files and batches that are there.
    refuse: why the next OpenAI batch is not begun, as the errors of its file.
    share: how much of a batch is answered when it is cancelled before its end, and what is shown of it meanwhile.
    absent: whether the provider has no batches.
    """

    def __init__(self) -> None:
        self.delay, self.share = 0.0, 0.5
        self.fates: deque[Fate | None] = deque()
        self.faults: deque[tuple[Literal["before", "after"], Fault]] = deque()
        self.troubles: deque[Fault] = deque()
        self.refuse: deque[Sequence[Mapping[str, Any]]] = deque()
        self.absent = False
        self.made: dict[str, FakeBatch] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []

    def knows(self, path: str) -> bool:
        """Tell if a path is one of batches or files."""
        return not self.absent and path.startswith(("/v1/batches", "/v1/files", "/v1/messages/batches"))

    def fault(self, method: str, path: str) -> tuple[Literal["before", "after"], Fault] | None:
        """Return what goes wrong with the request that has come in."""
        if method == "POST" and path in {"/v1/batches", "/v1/messages/batches"}:
            return self.faults.popleft() if self.faults else None
        return ("before", self.troubles.popleft()) if self.troubles else None

    def answer(
        self, method: str, path: str, query: Mapping[str, str], body: object, complete: Complete
    ) -> tuple[int, dict[str, Any] | bytes]:
        """Return the status and the body that a request about batches is answered with.

        `body` is a JSON object, or the bytes of an uploaded file.
        """
        self.asked.append((method, path))
        for batch in self.made.values():
            if not batch.ended and not batch.refused and time.monotonic() >= batch.ends:
                self._work(batch, complete)
        protocol: Protocol = Anthropic if path.startswith("/v1/messages") else OpenAI
        parts = path.removeprefix("/v1/messages/" if protocol is Anthropic else "/v1/").split("/")
        try:
            return (
                self._openai(method, parts, query, body, complete)
                if protocol is OpenAI
                else (self._anthropic(method, parts, query, body, complete))
            )
        except KeyError as problem:
            return 404, protocol.error(404, f"there is no {problem}")
        except (IndexError, TypeError, ValueError, AttributeError) as problem:
            return 400, protocol.error(400, f"{type(problem).__name__}: {problem}")

    def _openai(
        self, method: str, parts: list[str], query: Mapping[str, str], body: Any, complete: Complete
    ) -> tuple[int, dict[str, Any] | bytes]:
        match (method, parts):
            case ("POST", ["files"]):
                name = f"file-{len(self.files)}"
                self.files[name] = body
                return 200, {
                    "id": name,
                    "object": "file",
                    "bytes": len(body),
                    "purpose": "batch",
                    "status": "processed",
                }
            case ("GET", ["files", name, "content"]):
                return 200, self.files[name]
            case ("POST", ["batches"]):
                if body["endpoint"] != "/v1/chat/completions" or body["completion_window"] != "24h":
                    return 400, OpenAI.error(400, "an endpoint or a window that is not known")
                lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
                asked = {line["custom_id"]: line["body"] for line in lines}
                if len(asked) < len(lines) or any(line["url"] != body["endpoint"] for line in lines):
                    return 400, OpenAI.error(400, "custom ids that are not unique, or another endpoint")
                batch = self._make("batch", OpenAI, asked, body)
                batch.refused = self.refuse.popleft() if self.refuse else ()
                return 200, _openai_batch(batch, self._done(batch))
            case ("GET", ["batches"]):
                return 200, self._page(OpenAI, query.get("after"), int(query.get("limit", "20")))
            case ("GET", ["batches", name]):
                return 200, _openai_batch(self.made[name], self._done(self.made[name]))
            case ("POST", ["batches", name, "cancel"]):
                if self.made[name].ended:
                    return 409, OpenAI.error(409, "it has ended")
                self._cancel(self.made[name], complete)
                return 200, _openai_batch(self.made[name], self._done(self.made[name]))
        return 404, OpenAI.error(404, f"no such path: {'/'.join(parts)}")

    def _anthropic(
        self, method: str, parts: list[str], query: Mapping[str, str], body: Any, complete: Complete
    ) -> tuple[int, dict[str, Any] | bytes]:
        match (method, parts):
            case ("POST", ["batches"]):
                asked = {one["custom_id"]: one["params"] for one in body["requests"]}
                if len(asked) < len(body["requests"]) or not all(_CUSTOM_ID.fullmatch(name) for name in asked):
                    return 400, Anthropic.error(400, "custom ids that are not unique, or not well formed")
                batch = self._make("msgbatch", Anthropic, asked, {})
                return 200, _anthropic_batch(batch, self._done(batch))
            case ("GET", ["batches"]):
                return 200, self._page(Anthropic, query.get("after_id"), int(query.get("limit", "20")))
            case ("GET", ["batches", name]):
                return 200, _anthropic_batch(self.made[name], self._done(self.made[name]))
            case ("GET", ["batches", name, "results"]):
                if (results := self.made[name].results) is None:
                    return 400, Anthropic.error(400, "it has not ended")
                lines = [_anthropic_line(one, result) for one, result in reversed(results.items())]
                return 200, "".join(json.dumps(line) + "\n" for line in lines).encode()
            case ("POST", ["batches", name, "cancel"]):
                if self.made[name].ended:
                    return 400, Anthropic.error(400, "it has ended")
                self._cancel(self.made[name], complete)
                return 200, _anthropic_batch(self.made[name], self._done(self.made[name]))
        return 404, Anthropic.error(404, f"no such path: {'/'.join(parts)}")

    def _make(
        self, prefix: str, protocol: Protocol, lines: Mapping[str, dict[str, Any]], about: Mapping[str, Any]
    ) -> FakeBatch:
        name = f"{prefix}_{len(self.made)}"
        self.made[name] = FakeBatch(name, protocol, lines, about, time.monotonic() + self.delay)
        return self.made[name]

    def _work(self, batch: FakeBatch, complete: Complete, most: int | None = None) -> None:
        """Answer the first `most` lines, or all; the others are cancelled."""
        batch.results = {}
        for number, (name, body) in enumerate(batch.lines.items()):
            fate = self.fates.popleft() if self.fates else None
            if most is not None and number >= most:
                batch.results[name] = "canceled"
            elif isinstance(fate, str):
                batch.results[name] = fate
            elif fate is not None:
                batch.results[name] = fate, batch.protocol.error(fate, f"told to fail with {fate}")
            else:
                batch.results[name] = complete(batch.protocol, body)
        if batch.protocol is OpenAI:
            lines = [(_openai_line(name, result), result) for name, result in reversed(batch.results.items())]
            good = [line for line, result in lines if isinstance(result, tuple) and result[0] == 200]
            bad = [line for line, result in lines if not (isinstance(result, tuple) and result[0] == 200)]
            for kind, some in (("output", good), ("error", bad)):
                if some:
                    self.files[f"file-{kind}-{batch.id}"] = "".join(json.dumps(one) + "\n" for one in some).encode()

    def _cancel(self, batch: FakeBatch, complete: Complete) -> None:
        batch.cancelled = True
        self._work(batch, complete, self._done(batch))

    def _done(self, batch: FakeBatch) -> int:
        """Return how many lines are answered, as the provider shows it."""
        if batch.results is not None:
            return sum(isinstance(result, tuple) for result in batch.results.values())
        return int(self.share * len(batch.lines))

    def _page(self, protocol: Protocol, after: str | None, limit: int) -> dict[str, Any]:
        """Return a page of the list, the newest first."""
        all_of_them = [one for one in reversed(self.made.values()) if one.protocol is protocol]
        start = 0 if after is None else [one.id for one in all_of_them].index(after) + 1
        shown, show = all_of_them[start : start + limit], _openai_batch if protocol is OpenAI else _anthropic_batch
        data = [show(one, self._done(one)) for one in shown]
        ends = {"first_id": shown[0].id, "last_id": shown[-1].id} if shown else {"first_id": None, "last_id": None}
        return {"object": "list", "data": data, **ends, "has_more": start + limit < len(all_of_them)}


def _openai_batch(batch: FakeBatch, done: int) -> dict[str, Any]:
    results = batch.results or {}
    good = sum(isinstance(result, tuple) and result[0] == 200 for result in results.values())
    expired = "expired" in results.values()
    ended = "cancelled" if batch.cancelled else "expired" if expired else "completed"
    status = "failed" if batch.refused else ended if batch.ended else "in_progress"
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": {"object": "list", "data": list(batch.refused)} if batch.refused else None,
        "input_file_id": batch.about["input_file_id"],
        "completion_window": "24h",
        "status": status,
        "output_file_id": f"file-output-{batch.id}" if good else None,
        "error_file_id": f"file-error-{batch.id}" if len(results) > good else None,
        "created_at": int(batch.created),
        "expires_at": int(batch.created) + 24 * 3600,
        "request_counts": {
            "total": len(batch.lines),
            "completed": good if batch.ended else done,
            "failed": done - good if batch.ended else 0,
        },
        "metadata": batch.about.get("metadata"),
    }


def _openai_line(name: str, result: tuple[int, dict[str, Any]] | str) -> dict[str, Any]:
    line = {"id": f"batch_req_{name}", "custom_id": name}
    if isinstance(result, tuple):
        return {**line, "response": {"status_code": result[0], "request_id": name, "body": result[1]}, "error": None}
    code = "batch_expired" if result == "expired" else "batch_cancelled"
    return {**line, "response": None, "error": {"code": code, "message": "This request could not be executed."}}


def _anthropic_batch(batch: FakeBatch, done: int) -> dict[str, Any]:
    results = list((batch.results or {}).values())
    counts = {
        "processing": 0 if batch.ended else len(batch.lines) - done,
        "succeeded": sum(isinstance(one, tuple) and one[0] == 200 for one in results) if batch.ended else done,
        "errored": sum(isinstance(one, tuple) and one[0] != 200 for one in results),
        "canceled": results.count("canceled"),
        "expired": results.count("expired"),
    }
    created = dt.datetime.fromtimestamp(batch.created, dt.UTC)
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if batch.ended else "in_progress",
        "request_counts": counts,
        "created_at": created.isoformat(),
        "expires_at": (created + dt.timedelta(days=1)).isoformat(),
        "ended_at": created.isoformat() if batch.ended else None,
        "cancel_initiated_at": created.isoformat() if batch.cancelled else None,
        "archived_at": None,
        "results_url": f"/v1/messages/batches/{batch.id}/results" if batch.ended else None,
    }


def _anthropic_line(name: str, result: tuple[int, dict[str, Any]] | str) -> dict[str, Any]:
    if isinstance(result, str):
        return {"custom_id": name, "result": {"type": result}}
    status, body = result
    if status == 200:
        return {"custom_id": name, "result": {"type": "succeeded", "message": body}}
    error = {"type": _ERRORS.get(status, "api_error"), "message": body["error"]["message"]}
    return {"custom_id": name, "result": {"type": "errored", "error": {"type": "error", "error": error}}}
