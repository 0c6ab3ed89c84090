from __future__ import annotations

from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request, Response, Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config.models import ModelConfig
from optimizer.door.keys import call_key, response_json, samples
from optimizer.models.providers import remote
from optimizer.system.dspy_private import request_to_dict, response_from_dict

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
data = st.dictionaries(words, words | st.integers() | st.lists(words, max_size=3), max_size=4)


def asked(text: str = "hello", system: str | None = "Be kind.", model: str = "m", **config: Any) -> Request:
    return Request(model, (Message.user(text),), system=system, config=Config(**config))


def key(request: Request, identity: str = "m@here", repetition: int = 0) -> str:
    return call_key(identity, request_to_dict(request), repetition)


@given(words, data)
def test_the_order_of_a_dict_never_matters(identity: str, request: dict[str, Any]) -> None:
    assert call_key(identity, dict(reversed(request.items()))) == call_key(identity, request)


@given(words, words, data, data, st.integers(0, 3), st.integers(0, 3))
def test_keys_are_equal_only_for_equal_ingredients(
    one: str, two: str, first: dict[str, Any], second: dict[str, Any], i: int, j: int
) -> None:
    assert samples(first)
    assert samples(second)
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
    again = response_from_dict(response_json(response))
    assert again == response
    assert again.message.text == text


def test_the_providers_raw_reply_is_left_out() -> None:
    raw = {"headers": {"x-secret": "1"}}
    response = Response("id", "m", Message.assistant("a"), "stop", Usage(), provider_data=raw)
    assert "provider_data" not in response_json(response)


INGREDIENTS: dict[str, st.SearchStrategy[Any]] = {
    "provider": st.sampled_from(["openai", "anthropic", "gemini", "ollama_chat", "local"]),
    "endpoint": st.sampled_from(["https://a.example/v1", "https://b.example/v1", "http://127.0.0.1:8000/v1", None]),
    "model": words.filter(bool),
    "messages": st.lists(st.tuples(st.sampled_from(["user", "assistant"]), words), min_size=1, max_size=4),
    "system": st.none() | words.filter(bool),
    "temperature": st.integers(1, 200).map(lambda n: n / 100),
    "top_p": st.none() | st.integers(1, 100).map(lambda n: n / 100),
    "max_tokens": st.none() | st.integers(1, 10_000),
    "seed": st.none() | st.integers(0, 99),
    "stop": st.lists(words.filter(bool), max_size=2).map(tuple),
    "response_format": st.sampled_from([None, {"type": "json_object"}])
    | words.map(lambda name: {"type": "json_schema", "schema": {"type": "object", "title": name}}),
    "repetition": st.integers(0, 50),
}

# Two values of each, for a draw that gives the same value again: to filter such draws made hypothesis give up.
SPARE: dict[str, tuple[Any, Any]] = {
    "provider": ("openai", "anthropic"),
    "endpoint": ("https://a.example/v1", None),
    "model": ("m", "n"),
    "messages": ([("user", "a")], [("user", "b")]),
    "system": ("Be kind.", None),
    "temperature": (0.5, 1.0),
    "top_p": (0.5, None),
    "max_tokens": (5, None),
    "seed": (1, None),
    "stop": (("x",), ()),
    "response_format": ({"type": "json_object"}, None),
    "repetition": (0, 1),
}


def key_of(parts: dict[str, Any]) -> str:
    messages = tuple(Message.user(t) if role == "user" else Message.assistant(t) for role, t in parts["messages"])
    names = ("temperature", "top_p", "max_tokens", "seed", "stop", "response_format")
    config = Config(**{name: parts[name] for name in names})
    name = f"{parts['provider']}/{parts['model']}"
    identity = remote(ModelConfig(model=name, api_base=parts["endpoint"]), 60.0, 1).identity
    return key(Request(name, messages, system=parts["system"], config=config), identity, parts["repetition"])


def check_pairs(parts: dict[str, Any], data: st.DataObject) -> None:
    """Change each ingredient in turn: each pair differs in exactly one, and so do the keys."""
    known = key_of(parts)
    assert key_of(dict(reversed(parts.items()))) == known
    for name, values in INGREDIENTS.items():
        other = data.draw(values)
        if other == parts[name]:
            other = next(value for value in SPARE[name] if value != parts[name])
        assert key_of({**parts, name: other}) != known, name


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(INGREDIENTS), st.data())
def test_pairs_that_differ_in_one_ingredient_do_not_collide(parts: dict[str, Any], data: st.DataObject) -> None:
    check_pairs(parts, data)


@pytest.mark.slow
@settings(max_examples=850, deadline=None)
@given(st.fixed_dictionaries(INGREDIENTS), st.data())
def test_10000_pairs_that_differ_in_one_ingredient_do_not_collide(parts: dict[str, Any], data: st.DataObject) -> None:
    """850 draws, twelve ingredients each: 10,200 pairs."""
    check_pairs(parts, data)


def test_the_repetition_counts_only_where_the_model_samples() -> None:
    assert key(asked(temperature=0.0), repetition=1) == key(asked(temperature=0.0), repetition=2)
    assert key(asked(temperature=0.7), repetition=1) != key(asked(temperature=0.7), repetition=2)
