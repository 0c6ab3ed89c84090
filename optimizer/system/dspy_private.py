"""All that is used of DSPy's private parts, in one place: what to look at when DSPy is upgraded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dspy
    from dspy.lm15 import Message, Request, Response


def request_to_dict(request: Request) -> dict[str, Any]:
    """Return a request as plain JSON data: messages, system, tools and sampling."""
    from dspy._vendor.lm15 import serde

    data: dict[str, Any] = serde.request_to_dict(request)
    return data


def request_from_dict(data: dict[str, Any]) -> Request:
    """Rebuild what `request_to_dict` gave."""
    from dspy._vendor.lm15 import serde

    request: Request = serde.request_from_dict(data)
    return request


def message_to_dict(message: Message) -> dict[str, Any]:
    """Return a message as plain JSON data."""
    from dspy._vendor.lm15 import serde

    data: dict[str, Any] = serde.message_to_dict(message)
    return data


def message_from_dict(data: dict[str, Any]) -> Message:
    """Rebuild what `message_to_dict` gave."""
    from dspy._vendor.lm15 import serde

    message: Message = serde.message_from_dict(data)
    return message


def response_to_dict(response: Response) -> dict[str, Any]:
    """Return a response as plain JSON data."""
    from dspy._vendor.lm15 import serde

    data: dict[str, Any] = serde.response_to_dict(response)
    return data


def response_from_dict(data: dict[str, Any]) -> Response:
    """Rebuild what `response_to_dict` gave."""
    from dspy._vendor.lm15 import serde

    response: Response = serde.response_from_dict(data)
    return response


def engine_of(lm: dspy.LM) -> Any:
    """Return what an LM sends its requests with: "auto", another name, or an engine object."""
    return lm._engine_spec


def freeze(program: dspy.Module) -> None:
    """Mark a program as compiled: as a part of a larger one it is optimized no more, and left out of its state."""
    program._compiled = True


def says_its_inputs(example: dspy.Example) -> bool:
    """Tell if an example knows which of its fields are inputs (`with_inputs`)."""
    return example._input_keys is not None
