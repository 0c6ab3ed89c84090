"""The two chat protocols that our wire speaks: lm15 writes and reads their messages, we refuse what is no answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# Where each one's key is looked for if the config names no variable.
KEYS: Mapping[str, str] = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


@dataclass(frozen=True)
class Dialect:
    """A protocol: lm15's object that writes requests and reads replies, and what is wrong with a JSON object.

    `flaw` is needed because lm15 reads a wrong type as an empty answer.
    """

    lm: Any
    flaw: Callable[[Mapping[str, Any]], str]


def dialect(provider: str, api_base: str, api_key: str) -> Dialect:
    """Return the protocol of a provider, one of KEYS, at an address.

    Anthropic's own clients take an address without /v1, so it may be left out there.
    """
    from dspy.lm15 import AnthropicLM, OpenAIChatLM

    settings = {"api_key": api_key, "transport": _NoTransport()}
    if provider == "openai":
        return Dialect(OpenAIChatLM(base_url=api_base, **settings), _flaw_of_completion)
    bare = urlsplit(api_base).path in {"", "/"}
    return Dialect(
        AnthropicLM(base_url=f"{api_base.rstrip('/')}/v1" if bare else api_base, **settings), _flaw_of_message
    )


class _NoTransport:
    """Stands in for lm15's connections, which are never opened here."""

    def stream(self, request: object) -> None:
        raise RuntimeError("HttpWire sends its requests itself")


def _flaw_of_completion(data: Mapping[str, Any]) -> str:
    choices = data.get("choices")
    if isinstance(data.get("error"), dict):
        return ""  # lm15 raises it by its code
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return "without choices"
    if not isinstance(message := choices[0].get("message"), dict):
        return "without a message"
    if not isinstance(message.get("content"), str | list | None):
        return f"with content of type {type(message['content']).__name__}"
    return _flaw_of_usage(data)


def _flaw_of_message(data: Mapping[str, Any]) -> str:
    blocks = data.get("content")
    if not isinstance(blocks, list):
        return f"with content of type {type(blocks).__name__}"
    for block in blocks:
        if not isinstance(block, dict):
            return f"with a block of type {type(block).__name__}"
        if block.get("type") == "text" and not isinstance(block.get("text"), str):
            return f"with text of type {type(block.get('text')).__name__}"
    return _flaw_of_usage(data)


def _flaw_of_usage(data: Mapping[str, Any]) -> str:
    return "" if isinstance(data.get("usage"), dict | None) else "with a usage that is no object"
