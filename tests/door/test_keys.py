from __future__ import annotations

from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request, Response, Usage
from hypothesis import given
from hypothesis import strategies as st

from optimizer.door.keys import call_key, request_json, response_from_json, response_json

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
data = st.dictionaries(words, words | st.integers() | st.lists(words, max_size=3), max_size=4)


def asked(text: str = "hello", system: str | None = "Be kind.", model: str = "m", **config: Any) -> Request:
    return Request(model, (Message.user(text),), system=system, config=Config(**config))


def key(request: Request, identity: str = "m@here", repetition: int = 0) -> str:
    return call_key(identity, request_json(request), repetition)


@given(words, data)
def test_the_order_of_a_dict_never_matters(identity: str, request: dict[str, Any]) -> None:
    assert call_key(identity, dict(reversed(request.items()))) == call_key(identity, request)


@given(words, words, data, data, st.integers(0, 3), st.integers(0, 3))
def test_keys_are_equal_only_for_equal_ingredients(
    one: str, two: str, first: dict[str, Any], second: dict[str, Any], i: int, j: int
) -> None:
    assert (call_key(one, first, i) == call_key(two, second, j)) == ((one, first, i) == (two, second, j))


def test_a_key_is_32_hex_digits_and_stable() -> None:
    assert len(key(asked())) == 32
    assert int(key(asked()), 16) > 0
    assert key(asked()) == key(asked())


@pytest.mark.parametrize(
    "other",
    [
        asked("hello "),
        asked(system="Be rude."),
        asked(system=None),
        asked(model="n"),
        asked(temperature=0.0),
        asked(temperature=0.7),
        asked(max_tokens=5),
        asked(top_p=0.5),
        asked(seed=1),
        asked(stop=("\n",)),
        Request("m", (Message.user("hello"), Message.assistant("hi"), Message.user("hello")), system="Be kind."),
    ],
)
def test_every_ingredient_of_a_request_changes_the_key(other: Request) -> None:
    assert key(other) != key(asked())


def test_endpoint_and_repetition_change_the_key() -> None:
    assert len({key(asked()), key(asked(), "m@there"), key(asked(), repetition=1)}) == 3


def test_a_role_of_a_message_changes_the_key() -> None:
    one = Request("m", (Message.user("a"), Message.assistant("b")))
    two = Request("m", (Message.user("a"), Message.user("b")))
    assert key(one) != key(two)


@given(words.filter(bool), st.integers(0, 99), st.integers(0, 99))
def test_a_response_survives_json(text: str, sent: int, made: int) -> None:
    usage = Usage(input_tokens=sent, output_tokens=made, cache_read_tokens=1)
    response = Response("id", "m", Message.assistant(text), "length", usage)
    again = response_from_json(response_json(response))
    assert again == response
    assert again.message.text == text


def test_the_providers_raw_reply_is_left_out() -> None:
    raw = {"headers": {"x-secret": "1"}}
    response = Response("id", "m", Message.assistant("a"), "stop", Usage(), provider_data=raw)
    assert "provider_data" not in response_json(response)
