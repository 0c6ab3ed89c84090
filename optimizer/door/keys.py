"""What makes two model calls the same call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optimizer.types import digest

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response


def request_json(request: Request) -> dict[str, Any]:
    """Return a request as plain JSON data: messages, system, tools and sampling."""
    from dspy._vendor.lm15 import serde

    data: dict[str, Any] = serde.request_to_dict(request)
    return data


def response_json(response: Response) -> dict[str, Any]:
    """Return a response as plain JSON data, without the provider's raw reply."""
    from dspy._vendor.lm15 import serde

    data: dict[str, Any] = serde.response_to_dict(response)
    data.pop("provider_data", None)
    return data


def response_from_json(data: dict[str, Any]) -> Response:
    """Rebuild what `response_json` gave."""
    from dspy._vendor.lm15 import serde

    response: Response = serde.response_from_dict(data)
    return response


def call_key(identity: str, request: dict[str, Any], repetition: int = 0) -> str:
    """Return 32 hex digits over endpoint, model, messages, sampling and repetition.

    A model that samples may answer each repetition of a call differently; at temperature 0 all
    repetitions are one call.
    """
    return digest([identity, request, repetition if samples(request) else 0], 32)


def samples(request: dict[str, Any]) -> bool:
    """Tell if a request's answer is drawn: any temperature but 0, also the provider's own."""
    return bool(request.get("config", {}).get("temperature") != 0)
