from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.system.limits import check_depth
from optimizer.task.text import equal, fold, fold_all, parse_json, refuse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_fold_levels_case_space_and_composition() -> None:
    assert fold("  Cafe\u0301\n BAR ") == "café bar" == fold("CAFÉ  bar")


@given(st.text())
def test_fold_is_idempotent(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_fold_all_reaches_nested_text_but_not_keys() -> None:
    assert fold_all({"A": [" X ", 1, {"B": "Y"}]}) == {"A": ["x", 1, {"B": "y"}]}


@given(JSON)
def test_equal_is_reflexive(value: Any) -> None:
    assert equal(value, value)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (1, True, False),
        (0, False, False),
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (10**400, 1.5, False),
        ("A ", "a", True),
        ({"a": ["X"]}, {"a": ["x"]}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1, 2], [1], False),
        ("1", 1, False),
        (None, None, True),
    ],
)
def test_equal(one: Any, two: Any, expected: bool) -> None:
    assert equal(one, two) is expected
    assert equal(two, one) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not a JSON value"),
        ('{"a": [-Infinity]}', "-Infinity is not"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ('"\\ud83d"', "half a surrogate pair (\\ud83d)"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ("[" * 100_000, "nested more than 100 deep"),
    ],
)
def test_parse_json_refuses(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert reason in str(caught.value)


def test_parse_json_accepts_whole_surrogate_pairs_and_deep_enough_values() -> None:
    assert parse_json('"\\ud83d\\ude00"') == "😀"
    check_depth(parse_json("[" * 99 + "1" + "]" * 99))


def test_refuse_shows_five_problems_and_counts_the_others() -> None:
    refuse([], "nothing")
    with pytest.raises(TaskError) as caught:
        refuse([f"problem {n}" for n in range(8)], "Mend them.")
    assert caught.value.what.splitlines() == [*(f"problem {n}" for n in range(5)), "and 3 more"]
    assert caught.value.remedy == "Mend them."
