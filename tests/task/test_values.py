from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import values
from optimizer.task.rows import Row
from optimizer.task.schema import FieldSpec
from optimizer.task.text import Problems
from optimizer.task.values import checked_rows, coerce
from optimizer.types import Example

LABEL = FieldSpec(choices=("card_arrival", "Top up"))


def spec(kind: str) -> FieldSpec:
    return FieldSpec.model_validate({"type": kind})


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("str", " as is ", " as is "),
        ("str", 5, "5"),
        ("str", 5.5, "5.5"),
        ("str", 10**400, "1" + "0" * 400),
        ("int", " -12 ", -12),
        ("int", 3.0, 3),
        ("float", "1e3", 1000.0),
        ("float", 2, 2.0),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("bool", False, False),
        ("bool", 1, True),
        ("list[str]", ["a", 1], ["a", "1"]),
        ("list[str]", "a, b,,c ", ["a", "b", "c"]),
        ("list[str]", '["a, b"]', ["a, b"]),
        ("list[str]", "", []),
        ("json", {"a": [1]}, {"a": [1]}),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", "[]", []),
    ],
)
def test_coerce(kind: str, value: Any, expected: Any) -> None:
    found = coerce(spec(kind), value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("str", None, "is empty"),
        ("str", True, "is True, a bool, not text"),
        ("str", ["a"], "is ['a'], a list, not text"),
        ("str", {"a": 1}, "a dict, not text"),
        ("str", float("nan"), "is nan, a float, not text"),
        ("str", "\ud800", "half a surrogate pair"),
        ("int", "12a", "is '12a', a str, not a whole number"),
        ("int", "1_000", "not a whole number"),
        pytest.param("int", 10**5000, "a value of type int that cannot be shown", id="huge"),
        ("int", 2.5, "is 2.5"),
        ("int", True, "a bool, not a whole number"),
        ("float", "nan", "not a finite number"),
        ("float", "1_0", "not a finite number"),
        ("float", 10**400, "not a finite number"),
        ("float", "x", "is 'x'"),
        ("float", False, "a bool"),
        ("bool", "maybe", "not true or false"),
        ("bool", 2, "is 2"),
        ("bool", 1.0, "is 1.0"),
        ("list[str]", [["a"]], "not a list of texts"),
        ("list[str]", [True], "a bool, not text"),
        ("list[str]", '["a"', "cannot be read"),
        ("list[str]", 5, "an int, not a list"),
        ("json", "5", "not a JSON object or array"),
        ("json", "{'a': 1}", "which is not JSON"),
        ("json", {"a": float("inf")}, "which is not JSON"),
        ("json", {"a": object()}, "which is not JSON"),
        ("json", 5, "an int, not a JSON object"),
    ],
)
def test_coerce_refuses(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        coerce(spec(kind), value)
    assert reason in str(caught.value)


@given(
    st.sampled_from(["str", "int", "float", "bool", "list[str]", "json"]),
    st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.text() | st.none()),
)
def test_coerce_gives_the_type_or_a_value_error_and_keeps_what_it_gave(kind: str, value: Any) -> None:
    types: dict[str, Any] = {
        "str": str,
        "int": int,
        "float": float,
        "bool": bool,
        "list[str]": list,
        "json": (dict, list),
    }
    try:
        found = coerce(spec(kind), value)
    except ValueError:
        return
    assert isinstance(found, types[kind])
    assert coerce(spec(kind), found) == found


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Card_Arrival", "differs from the choice only in case or spaces; write 'card_arrival'"),
        ("card_arrival ", "is 'card_arrival ', which differs"),
        ("top  up", "write 'Top up'"),
        ("card_arival", "is 'card_arival', not one of the choices; did you mean 'card_arrival'?"),
        ("refund", "known: Top up, card_arrival."),
        ("", "is empty"),
        (True, "a bool, not text"),
    ],
)
def test_labels_outside_the_choices(value: Any, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        coerce(LABEL, value)
    assert reason in str(caught.value)


@dataclass
class Fields:
    inputs: dict[str, FieldSpec]
    outputs: dict[str, FieldSpec]
    fields: dict[str, str] = field(default_factory=dict)


def examples_of(rows: list[Row], fields: Fields, also: Sequence[str] = (), label: str = "a.jsonl") -> list[Example]:
    problems = Problems(repairs=True)
    pairs = checked_rows(rows, fields, label, problems, also)
    problems.refuse()
    assert [row for row, _ in pairs] == rows
    return [example for _, example in pairs]


def test_rows_map_columns_and_keeps_the_place() -> None:
    rows = [Row({"text": "hello", "label": "Top up", "other": 1}, "a.csv:2")]
    fields = Fields({"message": FieldSpec()}, {"intent": LABEL}, {"message": "text", "intent": "label"})
    [example] = examples_of(rows, fields)
    assert (example.inputs, example.outputs, example.origin) == ({"message": "hello"}, {"intent": "Top up"}, "a.csv:2")


def convert(*values: dict[str, Any], **columns: str) -> Any:
    rows = [Row(value, f"a.jsonl:{number}") for number, value in enumerate(values, 1)]
    return examples_of(rows, Fields({"message": FieldSpec()}, {"intent": LABEL}, columns))


GOOD = {"message": "m", "intent": "Top up"}


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([{"mesage": "m", "intent": "Top up"}], ["a.jsonl: no column 'message'", "did you mean 'mesage'", "fields:"]),
        ([GOOD, {"mesage": "m", "intent": "Top up"}], ["a.jsonl:2: 'message' is missing; did you mean 'mesage'?"]),
        ([GOOD, {"message": " ", "intent": "Top up"}], ["a.jsonl:2: the input message is empty"]),
        ([GOOD, {"message": None, "intent": "x"}], ["a.jsonl:2: 'message' is empty", "a.jsonl:2: 'intent' is 'x'"]),
        (
            [{"message": "m", "intent": "x"}] * 7,
            ["a.jsonl:1: 'intent' is 'x'", "(also a.jsonl:2, a.jsonl:3 and 4 more)", "Correct these"],
        ),
        ([{"message": "m", "intent": f"x{n}"} for n in range(27)], ["a.jsonl:20: 'intent' is 'x19'", "and 7 more"]),
        ([{"text": "m", "label": "Top up"}], ["no column 'message'", "no column 'intent'"]),
        ([{"message": None, "label": "Top up"}], ["no column 'intent'", "a.jsonl:1: 'message' is empty"]),
        ([GOOD, {"message": "m", "intent": "Top up "}], ["write 'Top up'", "Or add repair: [trim] under data."]),
        (
            [{"message": "m", "intent": "top up"}, {"message": "", "intent": None}],
            ["Or add repair: [fold_case, drop_blank] under data."],
        ),
    ],
)
def test_rows_are_refused(values: list[dict[str, Any]], parts: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        convert(*values)
    for part in parts:
        assert part in str(caught.value)


def test_an_input_may_be_blank_beside_another_but_an_output_may_not() -> None:
    inputs, outputs = {"a": FieldSpec(), "b": FieldSpec()}, {"c": FieldSpec()}
    [example] = examples_of([Row({"a": "", "b": "x", "c": "y"}, "1")], Fields(inputs, outputs))
    assert example.inputs["a"] == ""
    with pytest.raises(TaskError, match="'c' is empty"):
        examples_of([Row({"a": "x", "b": "x", "c": " "}, "1")], Fields(inputs, outputs))
    with pytest.raises(TaskError, match="'d' is empty"):
        examples_of([Row({"a": "x", "b": "x", "c": "y", "d": math.nan}, "1")], Fields(inputs, outputs), ["d"])
    with pytest.raises(TaskError, match="no column 'e' to split by"):
        examples_of([Row({"a": "x", "b": "x", "c": "y", "d": 1}, "1")], Fields(inputs, outputs), ["e"])


def test_the_nearest_label_is_looked_for_only_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(values, "did_you_mean", lambda seen, known: asked.append(seen) or "hm")
    rows = [Row({"x": "a", "y": f"no label {n}"}, f"a.csv:{n}") for n in range(50)]
    with pytest.raises(TaskError, match="and 30 more"):
        examples_of(rows, Fields({"x": FieldSpec()}, {"y": LABEL}))
    assert asked == [f"no label {n}" for n in range(20)]
