from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.task.schema import Approved
from optimizer.task.trace_columns import Assessment, Rule, ScoredRule, Summary, approves, decoded, folded_name, part_of

SAID = {"role": "user", "content": "Where is it?"}
CHAT = [{"role": "system", "content": "Be kind."}, SAID, {"role": "assistant", "content": "Here."}]
PARTS = [{"type": "text", "text": "Where"}, {"type": "image_url"}, {"type": "text", "text": "is it?"}]


def assessment(kind: str, name: str, value: Any, time: int = 1, source: str = "human", **more: Any) -> Assessment:
    return Assessment(kind, name, value, source, time, **more)


def row(
    request: Any, response: Any, *assessments: Assessment, outputs: tuple[str, ...] = ("team",), **keys: Any
) -> dict[str, Any] | None:
    said = assessments or (assessment("feedback", "correct", True),)
    rule = Rule({name: name for name in outputs}, Approved(**keys), ("human",))
    return rule.row(Summary("tr-1", 0, {}, said), request, response, "root")


@pytest.mark.parametrize(
    ("request_json", "columns"),
    [
        ({"message": "m", "n": 1}, {"message": "m", "n": 1}),
        ("plain", {"text": "plain"}),
        ({"messages": CHAT, "model": "x"}, {"messages": CHAT, "model": "x", "text": "Where is it?"}),
        ({"messages": CHAT, "text": "mine"}, {"messages": CHAT, "text": "mine"}),
        ({"input": [SAID]}, {"input": [SAID], "messages": [SAID], "text": "Where is it?"}),
        ([SAID], {"messages": [SAID], "text": "Where is it?"}),
        ([{"role": "user", "content": PARTS}], {"text": "Where\nis it?"}),
        ([{"type": "human", "content": "Hi"}], {"text": "Hi"}),
        ([1, 2], {"inputs": [1, 2]}),
        (None, {}),
    ],
)
def test_the_columns_of_a_request(request_json: Any, columns: dict[str, Any]) -> None:
    values = row(request_json, "a")
    assert values is not None
    assert {name: values.get(name) for name in columns} == columns


REPLY = {"choices": [{"message": {"role": "assistant", "content": "billing"}}], "usage": {}}


@pytest.mark.parametrize(
    ("response", "columns"),
    [
        ("billing", {"response": "billing", "team": "billing"}),
        ({"team": "billing", "why": "w"}, {"response": {"team": "billing", "why": "w"}, "team": "billing", "why": "w"}),
        (REPLY, {"response": "billing", "team": "billing"}),
        ({"output": [{"role": "assistant", "content": [{"text": "x"}]}]}, {"response": "x", "team": "x"}),
        ({"messages": CHAT}, {"response": "Here.", "team": "Here."}),
        (CHAT, {"response": "Here."}),
        ({"role": "assistant", "content": '{"team": "b"}'}, {"response": '{"team": "b"}', "team": "b"}),
        (7, {"response": 7, "team": 7}),
    ],
)
def test_the_columns_of_a_response(response: Any, columns: dict[str, Any]) -> None:
    values = row({"message": "m"}, response)
    assert values is not None
    assert {name: values.get(name) for name in columns} == columns


def test_an_expectation_goes_before_the_approved_answer() -> None:
    said = (assessment("feedback", "correct", True, 9), assessment("expectation", "team", "card", 1))
    values = row({"message": "m"}, {"team": "billing"}, *said)
    assert values is not None
    assert values["team"] == "card"


def test_an_input_of_an_outputs_name_is_not_taken_for_the_answer() -> None:
    values = row({"team": "from the request", "message": "m"}, {"team": "billing"})
    assert values is not None
    assert values["team"] == "billing"


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ([assessment("feedback", "correct", True, 1), assessment("feedback", "correct", False, 2)], False),
        ([assessment("feedback", "correct", False, 1), assessment("feedback", "correct", True, 2)], True),
        ([assessment("feedback", "correct", True, 1), assessment("feedback", "correct", False, 2, "code")], True),
        ([assessment("feedback", "correct", True, 1, "llm_judge")], False),
        ([assessment("feedback", "right", True)], False),
        ([assessment("expectation", "team", "card", 1, "code")], False),
        ([assessment("expectation", "team", None)], False),
        ([assessment("expectation", "team", "card", span="inner")], False),
        ([assessment("expectation", "team", "card", span="root")], True),
        ([assessment("expectation", "other", "card")], False),
    ],
)
def test_whose_word_counts(said: list[Assessment], counts: bool) -> None:
    assert (row({"message": "m"}, {"team": "b"}, *said) is not None) == counts


def test_every_output_is_needed() -> None:
    one = assessment("expectation", "team", "card")
    both = (one, assessment("expectation", "urgent", True))
    assert row({}, {"team": "a"}, one, outputs=("team", "urgent")) is None
    assert row({}, "text", outputs=("team", "urgent")) is None
    values = row({}, {"urgent": False}, *both, outputs=("team", "urgent"))
    assert values is not None
    assert (values["team"], values["urgent"]) == ("card", True)
    mixed = row({}, {"urgent": False}, one, assessment("feedback", "correct", True), outputs=("team", "urgent"))
    assert mixed is not None
    assert (mixed["team"], mixed["urgent"]) == ("card", False)


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        ({}, True, True),
        ({}, "Yes", True),
        ({}, "no", False),
        ({}, 1, False),
        ({"value": False}, "no", True),
        ({"value": "good"}, "Good", True),
        ({"value": 4}, 4.0, True),
        ({"at_least": 4}, 4.5, True),
        ({"at_least": 4}, 3, False),
        ({"at_least": 0}, True, False),
        ({"at_least": 4}, "5", False),
        ({"value": "good"}, ["good"], False),
    ],
)
def test_what_approves(keys: dict[str, Any], value: Any, expected: bool) -> None:
    assert approves(Approved(**keys), value) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [("a.b.1", 2), ("a.b.-1", 2), ("a.b.2", None), ("a.x.y", None), ("a.b.x", None), (None, {"a": {"b": [1, 2]}})],
)
def test_a_path(path: str | None, value: Any) -> None:
    assert part_of({"a": {"b": [1, 2]}}, path) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('"x"', "x"),
        (json.dumps('{"a": 1}'), {"a": 1}),
        (json.dumps("12"), "12"),
        ("{", "{"),
        ("NaN", "NaN"),
        (None, None),
    ],
)
def test_what_json_says(text: Any, value: Any) -> None:
    assert decoded(text) == value


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.sampled_from(["messages", "input", "output", "choices", "message", "role", "content", "text", "type", "team"])
ANY = st.recursive(
    PLAIN | st.sampled_from(["user", "assistant"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)
SAYINGS = st.lists(
    st.builds(
        Assessment,
        st.sampled_from(["feedback", "expectation"]),
        st.sampled_from(["correct", "team", "x"]),
        ANY,
        st.sampled_from(["human", "code"]),
        st.integers(0, 9),
        st.sampled_from([None, "root", "inner"]),
    ),
    max_size=4,
)


@given(request=ANY, response=ANY, said=SAYINGS)
def test_whatever_is_in_a_trace_it_counts_or_not(request: Any, response: Any, said: list[Assessment]) -> None:
    rule = Rule({"team": "team"}, Approved(), ("human",))
    whole = [decoded(json.dumps(value)) for value in (request, response)]
    values = rule.row(Summary("tr-1", 0, {}, tuple(said)), whole[0], whole[1], "root")
    if values is not None:
        assert rule.may_count(said)
        assert values["team"] is not None
        assert (values["trace_id"], values["trace_time"]) == ("tr-1", "1970-01-01T00:00:00.000+00:00")


@given(st.text() | st.text(alphabet='{}[]":,\\ 1'))
def test_any_text_can_be_decoded(text: str) -> None:
    decoded(text)


def scored(*said: Assessment, reference: bool = False, response: Any = None) -> dict[str, Any] | None:
    """Return the columns of a trace whose answer people scored as "Well put"."""
    rule = ScoredRule({"team": "team"}, Approved(), ("human",), {"well put": "Well put"}, reference)
    answer = {"team": "billing"} if response is None else response
    made = rule.row(Summary("tr-1", 0, {}, said), {"message": "m"}, answer, "root")
    assert rule.may_count(said) or made is None
    return made


def test_an_answer_counts_that_people_scored() -> None:
    score = assessment("feedback", "well_put", 4)
    made = scored(score) or {}
    assert (made["Well put"], made["team"], made["message"]) == (4, "billing", "m")
    assert scored(assessment("feedback", "correct", True)) is None
    assert scored(assessment("feedback", "well-put", 4, source="llm_judge")) is None
    assert scored(score, response={"other": 1}) is not None, "one output may be the whole response"
    newer = assessment("feedback", "Well put", 2, time=2)
    assert (scored(newer, score) or {})["Well put"] == 2


def test_a_judge_that_is_shown_what_is_right_needs_it() -> None:
    score, right = assessment("feedback", "Well put", 4), assessment("expectation", "team", "sales")
    assert scored(score, reference=True) is None
    made = scored(score, right, reference=True) or {}
    assert (made["team"], made["answer.team"]) == ("sales", "billing")
    approved = scored(score, assessment("feedback", "correct", True), reference=True) or {}
    assert (approved["team"], approved["answer.team"]) == ("billing", "billing")


def test_names_of_feedback_are_alike_however_they_are_written() -> None:
    assert {folded_name(name) for name in ("Well put", "well_put", "WELL-PUT", " well  put ")} == {"well put"}
