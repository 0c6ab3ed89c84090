"""The chat protocols that the fake server speaks: what is asked, and how a text is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Messages = Sequence[Mapping[str, Any]]
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_GOOGLES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# The piece that ends an answer; it has no bytes.
END = "<|end|>"
# How many likely pieces may be asked for beside each token.
MOST_TOP = 20


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an answer with its natural log-probability, and the likeliest pieces with theirs, best first."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a request asks of a model with log-probabilities.

    top: how many likely pieces each token is to have beside it; None without log-probabilities.
    bias: what is added to the logits of pieces, by their number.
    """

    top: int | None = None
    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered to one request; tokens are words, the first `cached` of them known, or else `written`.

    `cut` tells that the answer ended at its limit of tokens. `tokens` are there where log-probabilities were asked for,
    and the model has them.
    """

    number: int
    model: str
    text: str
    sent: int
    made: int
    cached: int
    cut: bool = False
    tokens: tuple[Token, ...] | None = None
    written: int = 0


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
        choice = {"index": 0, "message": message, "finish_reason": "length" if reply.cut else "stop"}
        logprobs = None if reply.tokens is None else {"content": [_entry(t) for t in reply.tokens], "refusal": None}
        return {
            "id": f"chatcmpl-{reply.number}",
            "object": "chat.completion",
            "created": reply.number,
            "model": reply.model,
            "choices": [{**choice, "logprobs": logprobs}],
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

    @staticmethod
    def refusal(body: Mapping[str, Any], unsupported: Collection[str]) -> dict[str, Any] | None:
        """Return the body of the error 400 where a request asks for what is wrong or `unsupported`, else None."""
        for name in unsupported:
            if body.get(name):
                text = f"Unsupported parameter: '{name}' is not supported with this model."
                return _refusal(text, name, "unsupported_parameter")
        return _flaw_of_logprobs(body) or _flaw_of_bias(body.get("logit_bias"))

    @staticmethod
    def marked(body: Mapping[str, Any]) -> int | None:
        """Return None: whatever is like the last request is cached, without a mark."""
        return None

    @staticmethod
    def sampling(body: Mapping[str, Any]) -> Sampling:
        """Return what a request, which was not refused, asks of a model with log-probabilities."""
        bias = {int(number): float(value) for number, value in (body.get("logit_bias") or {}).items()}
        return Sampling(int(body.get("top_logprobs") or 0) if body.get("logprobs") else None, bias)


class Anthropic:
    """POST /v1/messages."""

    @staticmethod
    def messages(body: Mapping[str, Any]) -> Messages:
        """Return the messages of a request, its system prompt first."""
        system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        return [*system, *body.get("messages", [])]

    @staticmethod
    def reply(reply: Reply) -> dict[str, Any]:
        """Return the body of a message; its input tokens are those that the cache has nothing to do with."""
        return {
            "id": f"msg_{reply.number}",
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": [{"type": "text", "text": reply.text}] if reply.text else [],
            "stop_reason": "max_tokens" if reply.cut else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": reply.sent - reply.cached - reply.written,
                "cache_read_input_tokens": reply.cached,
                "cache_creation_input_tokens": reply.written,
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

    @staticmethod
    def refusal(body: Mapping[str, Any], unsupported: Collection[str]) -> dict[str, Any] | None:
        """Return None: this protocol has no log-probabilities that could be asked for in a wrong way."""
        return None

    @staticmethod
    def marked(body: Mapping[str, Any]) -> int | None:
        """Return how many of the messages, the system prompt first, are to be cached: up to the last cache_control."""
        blocks = [one.get("content") for one in Anthropic.messages(body)]
        marks = [at for at, content in enumerate(blocks) if isinstance(content, list) and _is_marked(content)]
        return max(marks, default=-1) + 1

    @staticmethod
    def sampling(body: Mapping[str, Any]) -> Sampling:
        """Return that nothing is asked: this protocol has neither log-probabilities nor biases."""
        return Sampling()


class Gemini:
    """POST /models/NAME:generateContent, as https://ai.google.dev/api/generate-content describes it.

    Input tokens hold the cached ones.
    """

    @staticmethod
    def messages(body: Mapping[str, Any]) -> Messages:
        """Return the messages of a request, its system instruction first."""
        asked = [{"role": "system", **body["systemInstruction"]}] if body.get("systemInstruction") else []
        roles = {"model": "assistant"}
        return [
            {"role": roles.get(one.get("role", "user"), one.get("role", "user")), "content": list(one.get("parts", []))}
            for one in [*asked, *body.get("contents", [])]
        ]

    @staticmethod
    def reply(reply: Reply) -> dict[str, Any]:
        """Return the body of a response."""
        content = {"role": "model", "parts": [{"text": reply.text}]} if reply.text else {"role": "model"}
        cached = {"cachedContentTokenCount": reply.cached} if reply.cached else {}
        counts = {"promptTokenCount": reply.sent, "candidatesTokenCount": reply.made}
        return {
            "candidates": [{"content": content, "finishReason": "MAX_TOKENS" if reply.cut else "STOP", "index": 0}],
            "usageMetadata": {**counts, **cached, "totalTokenCount": reply.sent + reply.made},
            "modelVersion": reply.model,
            "responseId": f"response-{reply.number}",
        }

    @staticmethod
    def wrong_types(body: dict[str, Any]) -> dict[str, Any]:
        """Return a response whose fields are not what they should be."""
        return {**body, "candidates": {"content": 42}, "usageMetadata": "many"}

    @staticmethod
    def error(status: int, text: str) -> dict[str, Any]:
        """Return the body of an error."""
        return {"error": {"code": status, "message": text, "status": _GOOGLES.get(status, "INTERNAL")}}

    @staticmethod
    def refusal(body: Mapping[str, Any], unsupported: Collection[str]) -> dict[str, Any] | None:
        """Return None: nothing is refused in this protocol."""
        return None

    @staticmethod
    def marked(body: Mapping[str, Any]) -> int | None:
        """Return None: whatever is like the last request is cached, without a mark."""
        return None

    @staticmethod
    def sampling(body: Mapping[str, Any]) -> Sampling:
        """Return that nothing is asked: the fake server has no log-probabilities in this protocol."""
        return Sampling()


Protocol = type[OpenAI] | type[Anthropic] | type[Gemini]
PATHS: dict[str, Protocol] = {"/v1/chat/completions": OpenAI, "/v1/messages": Anthropic}
# Azure has a path for each deployment, and Google one for each model.
_MORE_PATHS: dict[str, Protocol] = {
    r"/openai/deployments/[^/]+/chat/completions": OpenAI,
    r"(/v1beta)?/models/[^/]+:generateContent": Gemini,
}


def protocol_at(path: str) -> Protocol | None:
    """Return the protocol that is spoken at a path; None where nobody answers."""
    more = (protocol for pattern, protocol in _MORE_PATHS.items() if re.fullmatch(pattern, path))
    return PATHS.get(path) or next(more, None)


def text_of(message: Mapping[str, Any]) -> str:
    """Return a chat message's text, also where its content is a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def _is_marked(content: Sequence[Mapping[str, Any]]) -> bool:
    return any("cache_control" in block for block in content)


def _entry(token: Token) -> dict[str, Any]:
    return {**_piece(token.text, token.logprob), "top_logprobs": [_piece(*pair) for pair in token.top]}


def _piece(text: str, logprob: float) -> dict[str, Any]:
    return {
        "token": text,
        "logprob": logprob,
        "bytes": None if text == END else list(text.encode("utf-8", "surrogatepass")),
    }


def _refusal(text: str, parameter: str, code: str = "invalid_value") -> dict[str, Any]:
    return {"error": {"message": text, "type": "invalid_request_error", "param": parameter, "code": code}}


def _flaw_of_logprobs(body: Mapping[str, Any]) -> dict[str, Any] | None:
    wanted, top = body.get("logprobs"), body.get("top_logprobs")
    if not isinstance(wanted, bool | None):
        return _refusal("Invalid type for 'logprobs': expected a boolean.", "logprobs", "invalid_type")
    if top is None:
        return None
    if isinstance(top, bool) or not isinstance(top, int):
        return _refusal("Invalid type for 'top_logprobs': expected an integer.", "top_logprobs", "invalid_type")
    if not wanted:
        return _refusal("Invalid value for 'top_logprobs': 'logprobs' must be true where it is set.", "top_logprobs")
    if top > MOST_TOP:
        text = f"Invalid value for 'top_logprobs': must be less than or equal to {MOST_TOP}."
        return _refusal(text, "top_logprobs")
    if top < 0:
        return _refusal("Invalid value for 'top_logprobs': must be greater than or equal to 0.", "top_logprobs")
    return None


def _flaw_of_bias(bias: object) -> dict[str, Any] | None:
    if bias is None:
        return None
    if not isinstance(bias, dict):
        return _refusal("Invalid type for 'logit_bias': expected an object.", "logit_bias", "invalid_type")
    for number, value in bias.items():
        if not (number.isascii() and number.isdigit()):
            return _refusal(f"Invalid key in 'logit_bias': {number!r}. Expected the number of a token.", "logit_bias")
        if isinstance(value, bool) or not isinstance(value, int | float) or not -100 <= value <= 100:
            text = f"Invalid value for 'logit_bias': {value!r}. Expected a number from -100 to 100."
            return _refusal(text, "logit_bias")
    return None


def events(protocol: Protocol, body: dict[str, Any]) -> list[bytes]:
    """Return a reply as the server-sent events of a stream, one for each word, or each token with log-probabilities."""
    return _openai_events(body) if protocol is OpenAI else _anthropic_events(body)


def _openai_events(body: dict[str, Any]) -> list[bytes]:
    head = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}
    choice = body["choices"][0]

    def chunk(delta: dict[str, Any], reason: str | None = None, entry: dict[str, Any] | None = None) -> dict[str, Any]:
        logprobs = None if entry is None else {"content": [entry], "refusal": None}
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}]}

    if choice["logprobs"] is None:
        pieces = [chunk({"content": piece}) for piece in _pieces(choice["message"]["content"])]
    else:
        pieces = [chunk({"content": entry["token"]}, None, entry) for entry in choice["logprobs"]["content"]]
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
