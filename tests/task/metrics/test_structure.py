from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from optimizer.task.metrics.amount import NumericOptions, numeric
from optimizer.task.metrics.structure import (
    JsonOptions,
    Rule,
    json_by_rules,
    json_fields,
    json_parts,
    parts_by_rules,
    violations,
)
from optimizer.task.schema import FieldSpec

TEXT, JSON = FieldSpec(), FieldSpec(type="json")
SCHEMA = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number", "minimum": 0}, "name": {"$ref": "#/$defs/name"}},
    "$defs": {"name": {"type": "string", "pattern": "^[A-Z]"}},
}


@pytest.mark.parametrize(
    ("expected", "seen", "score", "remark"),
    [
        ({"a": 1, "b": {"c": "X", "d": 2}}, {"a": 1, "b": {"c": "x", "d": 2}, "e": 9}, 1, ""),
        ({"a": 1, "b": {"c": "X", "d": 2}}, {"a": 1, "b": {"c": "x"}}, 2 / 3, "wrong or missing: b.d"),
        ({"a": 1, "b": {"c": 1}}, '{"a": 2, "b": 3}', 0, "wrong or missing: a, b.c"),
        ({"a": [1, 2]}, {"a": [2, 1]}, 0, "wrong or missing: a"),
        ({"a": {}}, {"a": {}}, 1, ""),
        ({"a": None}, {}, 0, "wrong or missing: a"),
        ({}, {}, 1, ""),
        ([1, "x"], [1, "X"], 1, ""),
        ([1, "x"], [1], 0, ""),
    ],
)
def test_json_fields(expected: Any, seen: Any, score: float, remark: str) -> None:
    found, told = json_fields(JSON, expected, seen)
    assert found == pytest.approx(score)
    assert told == remark


def test_json_fields_of_text_that_does_not_parse() -> None:
    score, remark = json_fields(JSON, {"a": 1}, "{a: 1}")
    assert score == 0
    assert "not JSON" in remark


def test_json_fields_compares_another_output_exactly() -> None:
    assert json_fields(TEXT, "x", "X ") == (1, "")


def near(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    return numeric(NumericOptions(tolerance=1), spec, expected, seen)


RULES = {"total": Rule(near, 2.0), "b.c": Rule(lambda spec, expected, seen: (0.5, "half"))}


@pytest.mark.parametrize(
    ("seen", "score", "remark"),
    [
        ({"total": 5.5, "b": {"c": 1, "d": "X"}}, 1 - 0.5 / 4, "wrong or missing: b.c (half)"),
        (
            {"total": 7, "b": {"c": 1, "d": "x"}},
            1 - 2.5 / 4,
            "wrong or missing: total (read as 7, off by 2), b.c (half)",
        ),
        ({}, 0, "wrong or missing: total, b.c, b.d"),
        ([], 0, "wrong or missing: total, b.c, b.d"),
    ],
)
def test_fields_are_compared_by_their_rules_and_weighed(seen: Any, score: float, remark: str) -> None:
    expected = {"total": 5, "b": {"c": 1, "d": "x"}}
    assert json_by_rules(JsonOptions(), RULES, JSON, expected, seen) == (pytest.approx(score), remark)


def test_the_score_of_each_field_can_be_had() -> None:
    expected, seen = {"total": 5, "b": {"c": 1, "d": "x"}}, {"total": 6, "b": {"c": 1}}
    assert json_parts(JSON, expected, seen) == {"total": 0, "b.c": 1, "b.d": 0}
    options = JsonOptions(schema=SCHEMA)
    assert parts_by_rules(options, RULES, JSON, expected, seen) == {"total": 1, "b.c": 0.5, "b.d": 0, "schema": 1}
    assert parts_by_rules(options, RULES, JSON, expected, "{") == {"total": 0, "b.c": 0, "b.d": 0, "schema": 0}
    assert json_parts(JSON, [1], [1]) == {}
    assert parts_by_rules(options, RULES, TEXT, "x", "x") == {}


def test_a_rule_may_name_an_object_within() -> None:
    rules = {"b": Rule(lambda spec, expected, seen: (float(expected == seen), ""))}
    assert parts_by_rules(JsonOptions(), rules, JSON, {"b": {"c": 1}}, {"b": {"c": 1}}) == {"b": 1}


@pytest.mark.parametrize(("weight", "score"), [(1.0, 0), (0.25, 0.75), (0.5, 0.5)])
def test_an_answer_that_breaks_the_schema_loses_its_weight(weight: float, score: float) -> None:
    options = JsonOptions(schema=SCHEMA, schema_weight=weight)
    seen = {"total": 1, "name": "x"}
    assert json_by_rules(options, {}, JSON, {"total": 1}, seen) == (
        pytest.approx(score),
        "breaks the schema: name: 'x' does not match '^[A-Z]'",
    )
    assert json_by_rules(options, {}, JSON, {"total": 1}, {"total": 1}) == (1, "")
    assert json_by_rules(options, {}, JSON, [1], [1])[0] == pytest.approx(1 - weight)
    assert json_by_rules(options, {}, JSON, {"total": 1}, "{")[0] == 0
    assert json_by_rules(options, {}, TEXT, "x", "X") == (1, "")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "objekt"}, "not a JSON Schema: type: 'objekt' is not valid"),
        ({"$ref": "https://example.com/x.json"}, "which is not in it"),
        ({"properties": {"x": {"$ref": "#/$defs/none"}}}, "does not exist"),
        ({"$ref": "#"}, "refers to itself"),
        ({"properties": {"x": {"pattern": "(a"}}}, "'(a' is not a 'regex'"),
        ({"const": {1, 2}}, "not JSON"),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JsonOptions(schema=schema)
    assert said in str(caught.value)


@pytest.mark.parametrize("options", [{"schema_weight": 0}, {"schema_weight": 1.5}, {"schema": []}, {"fields": ["a"]}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonOptions(**options)


def test_violations_are_named_up_to_a_few() -> None:
    many = violations({"additionalProperties": {"type": "null"}}, dict.fromkeys("abcde", 1))
    assert many == [*(f"{key}: 1 is not of type 'null'" for key in "abc"), "and 2 more"]


def test_what_breaks_a_schema_is_what_jsonschema_says() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        keys = chance.sample(["total", "name", "more"], chance.randint(0, 3))
        value = {key: chance.choice([1, -1, "X", "x", None, [], {}]) for key in keys}
        assert (violations(SCHEMA, value) == []) == Draft202012Validator(SCHEMA).is_valid(value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), VALUES)
def test_without_rules_both_ways_to_score_agree(expected: dict[str, Any], seen: Any) -> None:
    score = json_fields(JSON, expected, seen)[0]
    assert 0 <= score <= 1
    if isinstance(seen, (dict, list)):
        assert json_by_rules(JsonOptions(), {}, JSON, expected, seen)[0] == pytest.approx(score)
    assert json_fields(JSON, expected, expected) == (1, "")
    assert json_by_rules(JsonOptions(), {}, JSON, expected, expected) == (1, "")
