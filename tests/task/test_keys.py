from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task.keys import column_of, keys_of
from optimizer.task.rows import Row
from optimizer.task.schema import SplitSpec
from optimizer.task.text import Problems


def keys(values: list[Any], is_time: bool = True) -> list[Any]:
    problems = Problems()
    rows = [Row({"at": value}, f"a:{number}") for number, value in enumerate(values, 1)]
    read = keys_of(rows, "at", is_time, problems)
    problems.refuse()
    return read


def test_the_same_time_in_many_forms() -> None:
    forms = [
        "2024-03-01T12:00:00Z",
        "2024-03-01 12:00",
        "2024-03-01T13:00:00+01:00",
        "2024-03-01 13:00:00 +0100",
        "2024-03-01 12:00:00 UTC",
        "2024/03/01 12:00",
        "01.03.2024 12:00",
        "1.3.2024 12:00:00",
        "Fri, 01 Mar 2024 13:00:00 +0100",
        dt.datetime(2024, 3, 1, 12),
        dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC),
    ]
    assert set(keys(forms)) == {dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC).timestamp()}
    day = dt.datetime(2024, 3, 1, tzinfo=dt.UTC).timestamp()
    assert set(keys(["2024-03-01", "20240301T000000", "1.3.2024", dt.date(2024, 3, 1)])) == {day}
    assert keys([2023, "2024", 2024.5, " -1 "]) == [2023, 2024, 2024.5, -1]


@pytest.mark.parametrize(
    "value", ["soon", "03/01/2024", "2024-13-01", "1e400", "x" * 1000, True, [1], "99.99.2024", "٣", b"2024"]
)
def test_what_is_no_time_is_told(value: Any) -> None:
    with pytest.raises(TaskError, match=r"a:2: 'at' is .* which is no time[\s\S]*ISO 8601"):
        keys(["2024-03-01", value])


def test_numbers_beside_dates_are_told() -> None:
    with pytest.raises(TaskError, match="a:2: 'at' is the number 2024, and a date in other rows"):
        keys(["2024-03-01", 2024])


def test_what_is_missing_is_told_elsewhere() -> None:
    assert keys(["2024-03-01", None, " ", float("nan")])[1:] == [0.0, 0.0, 0.0]


def test_groups_are_the_same_whatever_their_case_and_spaces() -> None:
    assert len(set(keys(["ACME", " acme ", "Acme"], False))) == 1
    assert len(set(keys([7, "7"], False))) == 1
    assert len(set(keys(["a", "b", ["a"], {"a": 1}], False))) == 4


@given(st.lists(st.none() | st.text(max_size=30) | st.integers() | st.floats() | st.dates() | st.datetimes()))
def test_any_value_is_a_time_or_a_problem(values: list[Any]) -> None:
    try:
        read = keys(values)
    except TaskError:
        return
    assert len(read) == len(values)
    assert all(isinstance(key, float) for key in read)


@given(st.datetimes(dt.datetime(1900, 1, 1)), st.datetimes(dt.datetime(1900, 1, 1)))
def test_times_are_in_their_order(one: dt.datetime, two: dt.datetime) -> None:
    first, second = keys([one.isoformat(), two.isoformat()])
    assert (first < second, first == second) == (one < two, one == two)


def test_a_field_stands_for_its_column() -> None:
    spec = SplitSpec(group="customer")
    assert column_of(spec, {"customer": "cust_id"}, ["cust_id"]) == "cust_id"
    assert column_of(spec, {"customer": "cust_id"}, ["cust_id", "customer"]) == "customer"
    assert column_of(SplitSpec(time="at"), {}, []) == "at"
    assert column_of(SplitSpec(), {}, ["at"]) is None
