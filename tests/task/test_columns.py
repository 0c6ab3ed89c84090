from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.task.columns import Column, columns_of
from optimizer.task.rows import Row


def column(values: list[Any], name: str = "x") -> Column:
    (seen,) = columns_of([Row({name: value}, f"a.csv:{number}") for number, value in enumerate(values, 2)])
    return seen


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("empty", [None, "", " "]),
        ("constant", ["a", "A ", "a"]),
        ("label", ["a", "b", "B ", "a", "a", "c", "c"]),
        ("label", [1, 0, 1, 0, 1]),
        ("label", ["yes", "no"] * 4),
        ("bool", [True, False]),
        ("bool", ["True", "false", "TRUE"]),
        ("int", [17, 4, 29, 4, 18, 77, 23, 5, 6, 99, 41, 56]),
        ("int", ["17", " 4 ", "29"]),
        ("float", [0.5, 0.25, 3]),
        ("float", ["0,5", "1,25", "3,0"]),
        ("id", ["A-1", "A-2", "A-3"]),
        ("id", [1, 2, 3, 4]),
        ("time", ["2024-05-31", "2024-05-31", "2024-06-01T10:00:00Z"]),
        ("time", ["31.05.2024", "1.6.2024"]),
        ("list", [["a"], ["b", "c"], []]),
        ("list", ['["a"]', '["b", "c"]']),
        ("list", ["a, b", "b, a", "a, b", "b"]),
        ("json", [{"a": 1}, {"a": 2}]),
        ("json", ['{"a": 1}', "[[1], [2]]"]),
        ("text", ["where is it", "who are you", "how much is it"]),
        ("text", ["cat", "dog", "cow"]),
        ("text", [*(f"name {number}" for number in range(12)), *["usual"] * 36]),
    ],
)
def test_what_a_column_holds(kind: str, values: list[Any]) -> None:
    assert column(values).kind == kind


def test_numbers_that_are_all_different_are_ids_by_their_name() -> None:
    assert column([71, 13, 54], "ticket_id").kind == "id"
    assert column([71, 13, 54], "price").kind == "int"


def test_labels_are_spelled_as_most_rows_spell_them_the_most_frequent_first() -> None:
    assert column(["Bill", "bill", "Bill", "CARD ", "CARD"]).labels == {"Bill": 3, "CARD": 2}


def test_values_words_and_nulls_are_counted() -> None:
    seen = column(["a b", "c d e", None, ""])
    assert (seen.values, seen.distinct, seen.words, seen.nulls) == (2, 2, 2.5, 0.25)
    assert seen.is_unique
    assert seen.repeats == 1
    assert column(["0,5", "1,5"]).flaw == "decimal commas, as in '0,5'"


def test_columns_of_all_rows_are_there_and_those_without_a_name_are_not() -> None:
    rows = [Row({"a": 1, "": "x"}, "1"), Row({"b": 2}, "2")]
    assert [seen.name for seen in columns_of(rows)] == ["a", "b"]
    assert columns_of([]) == []


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, max_size=12))
def test_any_values_are_some_kind_of_column(values: list[Any]) -> None:
    for seen in columns_of([Row({"x": value}, "") for value in values]):
        assert seen.distinct <= seen.values <= len(values)
        assert sum(seen.labels.values()) in (0, seen.values)
