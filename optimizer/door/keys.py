"""What makes two model calls the same call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optimizer.system import dspy_private
from optimizer.types import digest

if TYPE_CHECKING:
    from dspy.lm15 import Response


def response_json(response: Response) -> dict[str, Any]:
    """Return a response as plain JSON data, without the provider's raw reply."""
    data = dspy_private.response_to_dict(response)
    data.pop("provider_data", None)
    return data


def call_key(identity: str, request: dict[str, Any], repetition: int = 0) -> str:
    """Return 32 hex digits over endpoint, model, messages, sampling and repetition.

    A model that samples may answer each repetition of a call differently; at temperature 0 all
    repetitions are one call.
    """
    return digest([identity, request, repetition if samples(request) else 0], 32)


def samples(request: dict[str, Any]) -> bool:
    """Tell if a request's answer is drawn: any temperature but 0, also the provider's own."""
    return bool(request.get("config", {}).get("temperature") != 0)
