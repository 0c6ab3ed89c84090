"""Batches by OpenAI's and Anthropic's protocols: many requests are handed in at once, and answered within a day.

How a batch that was handed in before a crash is recognized:

- OpenAI keeps `metadata` with a batch, which its list shows: our label stands there. That proves it.
- Anthropic keeps nothing of the kind. Its list shows when each batch was created and how many requests it has, and no
  more; the `custom_id` of a request, which begins with our label, is seen in the results alone, once the batch has
  ended. So a batch of the right size and time may be ours, and is waited for until its results prove or refute it.

Neither promises that its list shows a batch at once: whoever looks for one does so for a while before it takes it for
not handed in. Neither API documents a key that makes a second submission harmless.

Sources: OpenAI's and Anthropic's API references of /v1/batches, /v1/files and /v1/messages/batches, and their guides
"Batch API" and "Batch processing" (stored copies, seen 2026-11-30).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from optimizer.errors import CallError
from optimizer.models.wire import HttpWire
from optimizer.system.limits import check_depth, shorten

# Of the reply that holds a batch's results, in bytes.
LARGEST_RESULTS = 1_000_000_000
# Seconds by which the provider's clock may be behind ours.
SKEW = 600.0
# The longest that a provider takes to answer a batch, in seconds.
LONGEST_BATCH = 24 * 3600.0
# Under this name OpenAI keeps our label.
LABEL = "metier_batch"
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@dataclass(frozen=True, slots=True)
class State:
    """How a batch stands, by the provider: `refused` is one that it did not begin, and `why`.

    `wrong` are the numbers, from 0, of the requests that it was refused for, where that is known; `full` tells that it
    would be taken later, or if it were smaller.
    """

    status: Literal["out", "ended", "refused"]
    answered: int = 0
    why: str = ""
    wrong: frozenset[int] = frozenset()
    full: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request of a batch was answered with: an HTTP status and a body, as if it had been asked alone."""

    status: int
    body: bytes


# Of a request that was not answered, nor charged.
Unanswered = Literal["expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class Match:
    """The provider's id of a batch that is looked for; `unsure` where one that may be it has not ended."""

    id: str | None
    unsure: bool = False


class Batches(Protocol):
    """A provider's batches. Methods raise CallError, or what lm15 raises for a refusal."""

    most_requests: int
    most_bytes: int

    async def submit(self, label: str, requests: Mapping[str, Mapping[str, Any]]) -> str:
        """Hand in requests by their custom ids; returns the provider's id of the batch."""

    async def find(self, label: str, count: int, since: float, known: Collection[str]) -> Match:
        """Look for the batch of this label, with so many requests, handed in since a time (seconds since 1970).

        `known` are the ids of other batches of ours.
        """

    async def state(self, batch: str) -> State:
        """Return how a batch stands."""

    async def results(self, batch: str) -> dict[str, Reply | Unanswered]:
        """Return what came of each request of a batch that has ended, by custom id."""

    async def cancel(self, batch: str) -> None:
        """Have a batch end with what is answered."""

    async def probe(self) -> None:
        """Ask for the list of batches: raises where there is none."""


def batches_of(wire: HttpWire, provider: str) -> Batches:
    """Return the batches of a provider, one of dialects.KEYS, asked over a wire of its own."""
    return OpenAIBatches(wire) if provider == "openai" else AnthropicBatches(wire)


class OpenAIBatches:
    """POST /v1/files, then /v1/batches; the results lie in two more files, of answers and of errors."""

    most_requests, most_bytes = 50_000, 190_000_000

    def __init__(self, wire: HttpWire) -> None:
        self._wire = wire

    async def submit(self, label: str, requests: Mapping[str, Mapping[str, Any]]) -> str:
        """Hand in requests by their custom ids; returns the provider's id of the batch."""
        import aiohttp

        lines = (
            {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
            for name, body in requests.items()
        )
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"
        form.add_field("file", text.encode(), filename=f"{label}.jsonl", content_type="application/jsonl")
        file = _object(await self._wire.send("POST", "files", form))
        about = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {LABEL: label}}
        return _id(_object(await self._wire.send("POST", "batches", {"input_file_id": _id(file), **about})))

    async def find(self, label: str, count: int, since: float, known: Collection[str]) -> Match:
        """Look for the batch that keeps this label."""
        after = ""
        while True:
            page = _object(await self._wire.send("GET", f"batches?limit=100{after}"))
            batches = _list(page)
            for batch in batches:
                if _part(batch, "metadata").get(LABEL) == label:
                    return Match(_id(batch))
            if not page.get("has_more") or not batches or _seconds(batches[-1].get("created_at")) < since - SKEW:
                return Match(None)
            after = f"&after={_id(batches[-1])}"

    async def state(self, batch: str) -> State:
        """Return how a batch stands."""
        data = _object(await self._wire.send("GET", f"batches/{batch}"))
        counts = _part(data, "request_counts")
        answered = _count(counts, "completed") + _count(counts, "failed")
        status = data.get("status")
        if status == "failed":
            return _refusal(data)
        return State("ended" if status in ("completed", "expired", "cancelled") else "out", answered)

    async def results(self, batch: str) -> dict[str, Reply | Unanswered]:
        """Return what came of each request of a batch that has ended, by custom id."""
        data = _object(await self._wire.send("GET", f"batches/{batch}"))
        results: dict[str, Reply | Unanswered] = {}
        for name in ("output_file_id", "error_file_id"):
            if not isinstance(file := data.get(name), str):
                continue
            for line in _lines(await self._wire.send("GET", f"files/{file}/content", most=LARGEST_RESULTS)):
                results[str(line.get("custom_id"))] = _openai_result(line)
        return results

    async def cancel(self, batch: str) -> None:
        """Have a batch end with what is answered."""
        await self._wire.send("POST", f"batches/{batch}/cancel", {})

    async def probe(self) -> None:
        """Ask for the list of batches: raises where there is none."""
        _list(_object(await self._wire.send("GET", "batches?limit=1")))


class AnthropicBatches:
    """POST /v1/messages/batches; the results are one stream of lines."""

    most_requests, most_bytes = 100_000, 250_000_000

    def __init__(self, wire: HttpWire) -> None:
        self._wire = wire
        self._others: set[tuple[str, str]] = set()  # labels, and batches whose results have another one

    async def submit(self, label: str, requests: Mapping[str, Mapping[str, Any]]) -> str:
        """Hand in requests by their custom ids; returns the provider's id of the batch."""
        asked = [{"custom_id": name, "params": body} for name, body in requests.items()]
        return _id(_object(await self._wire.send("POST", "messages/batches", {"requests": asked})))

    async def find(self, label: str, count: int, since: float, known: Collection[str]) -> Match:
        """Look for the batch whose results have custom ids that begin with the label."""
        after, unsure = "", False
        while True:
            page = _object(await self._wire.send("GET", f"messages/batches?limit=100{after}"))
            batches = _list(page)
            for batch in batches:
                counts = _part(batch, "request_counts")
                total = sum(_count(counts, name) for name in counts)
                late = _seconds(batch.get("created_at")) >= since - SKEW
                if not late or total != count or _id(batch) in known or (label, _id(batch)) in self._others:
                    continue
                if batch.get("processing_status") != "ended":
                    unsure = True
                elif any(name.startswith(f"{label}-") for name in await self.results(_id(batch))):
                    return Match(_id(batch))
                else:
                    self._others.add((label, _id(batch)))
            if not page.get("has_more") or not batches or _seconds(batches[-1].get("created_at")) < since - SKEW:
                return Match(None, unsure)
            after = f"&after_id={_id(batches[-1])}"

    async def state(self, batch: str) -> State:
        """Return how a batch stands."""
        data = _object(await self._wire.send("GET", f"messages/batches/{batch}"))
        counts = _part(data, "request_counts")
        answered = _count(counts, "succeeded") + _count(counts, "errored")
        return State("ended" if data.get("processing_status") == "ended" else "out", answered)

    async def results(self, batch: str) -> dict[str, Reply | Unanswered]:
        """Return what came of each request of a batch that has ended, by custom id."""
        body = await self._wire.send("GET", f"messages/batches/{batch}/results", most=LARGEST_RESULTS)
        return {str(line.get("custom_id")): _anthropic_result(line) for line in _lines(body)}

    async def cancel(self, batch: str) -> None:
        """Have a batch end with what is answered."""
        await self._wire.send("POST", f"messages/batches/{batch}/cancel", {})

    async def probe(self) -> None:
        """Ask for the list of batches: raises where there is none."""
        _list(_object(await self._wire.send("GET", "messages/batches?limit=1")))


def _refusal(data: Mapping[str, Any]) -> State:
    """Return the state of a batch whose file OpenAI did not accept; its errors may name lines, counted from 1."""
    listed = _part(data, "errors").get("data")
    errors = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    why = "; ".join(str(one.get("message") or one.get("code")) for one in errors[:3]) or "no reason was named"
    wrong = frozenset(one["line"] - 1 for one in errors if type(one.get("line")) is int and one["line"] > 0)
    full = any("limit" in str(one.get("code")) for one in errors) and not wrong
    return State("refused", 0, why, wrong, full)


def _openai_result(line: Mapping[str, Any]) -> Reply | Unanswered:
    error, response = line.get("error"), line.get("response")
    if isinstance(response, dict) and isinstance(status := response.get("status_code"), int):
        return Reply(status, json.dumps(response.get("body")).encode())
    code = str(error.get("code")) if isinstance(error, dict) else ""
    if "expired" in code:
        return "expired"
    if "cancel" in code:
        return "cancelled"
    return Reply(500, json.dumps({"error": error}).encode())


def _anthropic_result(line: Mapping[str, Any]) -> Reply | Unanswered:
    result = _part(line, "result")
    kind = result.get("type")
    if kind == "succeeded":
        return Reply(200, json.dumps(result.get("message")).encode())
    if kind in ("canceled", "expired"):
        return "expired" if kind == "expired" else "cancelled"
    error = _part(result, "error")
    inner = _part(error, "error") or error
    status = _STATUS.get(str(inner.get("type")), 500)
    return Reply(status, json.dumps({"type": "error", "error": inner}).encode())


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a reply; raises CallError for anything else."""
    try:
        data = json.loads(body)
        check_depth(data)
    except (ValueError, RecursionError) as problem:
        raise CallError("malformed", f"a reply about a batch is no JSON that can be read: {problem}") from None
    if not isinstance(data, dict):
        raise CallError("malformed", f"a reply about a batch is a JSON {type(data).__name__}")
    return data


def _lines(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if line.strip():
            yield _object(line)


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object within an object; {} where there is none."""
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _list(page: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    data = page.get("data")
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise CallError("malformed", "the list of batches is no list")
    return data


def _id(data: Mapping[str, Any]) -> str:
    name = data.get("id")
    if not isinstance(name, str) or not name or any(character in name for character in "/?#&% "):
        raise CallError("malformed", f"a batch or a file has no usable id: {shorten(name)}")
    return name


def _count(counts: Mapping[str, Any], name: str) -> int:
    count = counts.get(name)
    return count if type(count) is int and count >= 0 else 0


def _seconds(moment: object) -> float:
    """Return seconds since 1970: OpenAI writes them so, Anthropic as a text of RFC 3339."""
    if isinstance(moment, int | float):
        return float(moment)
    try:
        return dt.datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return float("inf")  # a time that cannot be read excludes nothing
