"""The two chat protocols that the fake server speaks: what is asked, and how a text is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Messages = Sequence[Mapping[str, Any]]
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered to one request; tokens are words, the first `cached` of them known.

    `cut` tells that the answer ended at its limit of tokens.
    """

    number: int
    model: str
    text: str
    sent: int
    made: int
    cached: int
    cut: bool = False


class OpenAI:
    """POST /v1/chat/completions."""

    @staticmethod
    def messages(body: Mapping[str, Any]) -> Messages:
        """Return the messages of a request."""
        return list(body.get("messages", []))

    @staticmethod
    def reply(reply: Reply) -> dict[str, Any]:
        """Return the body of a completion."""
        message = {"role": "assistant", "content": reply.text}
        return {
            "id": f"chatcmpl-{reply.number}",
            "object": "chat.completion",
            "created": reply.number,
            "model": reply.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "length" if reply.cut else "stop"}],
            "usage": {
                "prompt_tokens": reply.sent,
                "completion_tokens": reply.made,
                "total_tokens": reply.sent + reply.made,
                "prompt_tokens_details": {"cached_tokens": reply.cached},
            },
        }

    @staticmethod
    def wrong_types(body: dict[str, Any]) -> dict[str, Any]:
        """Return a completion whose fields are not what they should be."""
        return {**body, "choices": [{"index": 0, "message": {"role": "assistant", "content": 42}}]}

    @staticmethod
    def error(status: int, text: str) -> dict[str, Any]:
        """Return the body of an error."""
        return {"error": {"message": text, "type": _KINDS.get(status, "server_error"), "code": status}}


class Anthropic:
    """POST /v1/messages."""

    @staticmethod
    def messages(body: Mapping[str, Any]) -> Messages:
        """Return the messages of a request, its system prompt first."""
        system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        return [*system, *body.get("messages", [])]

    @staticmethod
    def reply(reply: Reply) -> dict[str, Any]:
        """Return the body of a message; its input tokens are those that were not cached."""
        return {
            "id": f"msg_{reply.number}",
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": [{"type": "text", "text": reply.text}] if reply.text else [],
            "stop_reason": "max_tokens" if reply.cut else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": reply.sent - reply.cached,
                "cache_read_input_tokens": reply.cached,
                "cache_creation_input_tokens": 0,
                "output_tokens": reply.made,
            },
        }

    @staticmethod
    def wrong_types(body: dict[str, Any]) -> dict[str, Any]:
        """Return a message whose fields are not what they should be."""
        return {**body, "content": {"text": 42}, "usage": "many"}

    @staticmethod
    def error(status: int, text: str) -> dict[str, Any]:
        """Return the body of an error."""
        return {"type": "error", "error": {"type": _KINDS.get(status, "api_error"), "message": text}}


Protocol = type[OpenAI] | type[Anthropic]
PATHS: dict[str, Protocol] = {"/v1/chat/completions": OpenAI, "/v1/messages": Anthropic}


def text_of(message: Mapping[str, Any]) -> str:
    """Return a chat message's text, also where its content is a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def events(protocol: Protocol, body: dict[str, Any]) -> list[bytes]:
    """Return a reply as the server-sent events of a stream, one piece for each word."""
    return _openai_events(body) if protocol is OpenAI else _anthropic_events(body)


def _openai_events(body: dict[str, Any]) -> list[bytes]:
    head = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}
    choice = body["choices"][0]

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    pieces = [chunk({"content": piece}) for piece in _pieces(choice["message"]["content"])]
    data = [chunk({"role": "assistant", "content": ""}), *pieces, chunk({}, choice["finish_reason"])]
    data.append({**head, "choices": [], "usage": body["usage"]})
    return [f"data: {json.dumps(item)}\n\n".encode() for item in data] + [b"data: [DONE]\n\n"]


def _anthropic_events(body: dict[str, Any]) -> list[bytes]:
    text = body["content"][0]["text"] if body["content"] else ""
    start = {**body, "content": [], "stop_reason": None}
    deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(text)]
    data: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": body["stop_reason"]}, "usage": body["usage"]},
        {"type": "message_stop"},
    ]
    return [f"event: {item['type']}\ndata: {json.dumps(item)}\n\n".encode() for item in data]


def _pieces(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]
