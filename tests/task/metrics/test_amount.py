from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optimizer.task.metrics.amount import NumericOptions, json_fields, last_number, numeric, set_f1
from optimizer.task.schema import FieldSpec

TEXT, JSON = FieldSpec(), FieldSpec(type="json")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (2.5, 2.5),
        ("42", 42.0),
        ("The answer is 1,234,567.50.", 1234567.5),
        ("$1,000", 1000.0),
        ("-$5.20", -5.2),
        ("12%", 12.0),
        ("−7 °C", -7.0),
        ("range 5-10", 10.0),
        ("x = -3", -3.0),
        ("first 3, then 4", 4.0),
        ("1,2", 2.0),
        (".5", 0.5),
        ("6.02e23", 6.02e23),
        ("1\u202f234", 1234.0),
        ("none", None),
        ("", None),
        ("9e999", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (10**400, None),
        (["1"], None),
    ],
)
def test_last_number(value: Any, number: float | None) -> None:
    assert last_number(value) == number


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_number_is_read_back_from_text(number: float) -> None:
    for text in (f"so it is {number!r}", f"{number:,.3f}"):
        found = last_number(text)
        assert found is not None
        assert math.isclose(found, number, rel_tol=1e-9, abs_tol=1e-3)


@pytest.mark.parametrize(
    ("options", "expected", "seen", "score"),
    [
        ({}, 5, "it is 5.0", 1),
        ({}, 5, "5.01", 0),
        ({"tolerance": 0.01}, 5, "5.01", 1),
        ({"tolerance": 0.01}, 5, "5.02", 0),
        ({"tolerance": 0.1, "relative": True}, -100, "-109", 1),
        ({"tolerance": 0.1, "relative": True}, -100, "-111", 0),
        ({}, "1,000", 1000, 1),
        ({}, 5, "none", 0),
    ],
)
def test_numeric(options: dict[str, Any], expected: Any, seen: Any, score: float) -> None:
    assert numeric(NumericOptions(**options), TEXT, expected, seen)[0] == score


def test_numeric_says_how_far_off() -> None:
    assert numeric(NumericOptions(), TEXT, 5, "about 7")[1] == "read as 7, off by 2"
    assert numeric(NumericOptions(), TEXT, 5, "seven")[1] == "no number in it"


@pytest.mark.parametrize(
    "options",
    [{"tolerance": "1"}, {"tolerance": -1}, {"tolerance": True}, {"relative": 1}, {"tolerance": float("inf")}],
)
def test_numeric_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NumericOptions(**options)


@pytest.mark.parametrize(
    ("expected", "seen", "score", "remark"),
    [
        (["a", "b"], ["B", " a"], 1, ""),
        ("a, b", "b,a,a", 1, ""),
        (["a", "b"], ["a"], 2 / 3, "missing: b"),
        (["a"], ["a", "c", "b"], 0.5, "too many: b, c"),
        (["a"], ["b"], 0, "missing: a; too many: b"),
        ([], [], 1, ""),
        ([], "x", 0, "too many: x"),
    ],
)
def test_set_f1(expected: Any, seen: Any, score: float, remark: str) -> None:
    found, told = set_f1(TEXT, expected, seen)
    assert found == pytest.approx(score)
    assert told == remark


@given(st.lists(st.text()), st.lists(st.text()))
def test_set_f1_is_symmetric_and_bounded(one: list[str], two: list[str]) -> None:
    score = set_f1(TEXT, one, two)[0]
    assert 0 <= score <= 1
    assert score == set_f1(TEXT, two, one)[0]
    assert set_f1(TEXT, one, one)[0] == 1


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
