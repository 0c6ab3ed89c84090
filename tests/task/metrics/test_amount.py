from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from optimizer.task.metrics.amount import NumericOptions, last_number, measured, numeric, set_f1
from optimizer.task.schema import FieldSpec

TEXT = FieldSpec()


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


LENGTHS = {"km": 1000.0, "m": 1, "miles": 1609.344, "m/s": 7}
MONEY = {"€": 1, "USD": 0.5, "%": 0.01}


@pytest.mark.parametrize(
    ("units", "text", "amount"),
    [
        (LENGTHS, "it is 1.2 km.", (1.2, "km")),
        (LENGTHS, "1.2km", (1.2, "km")),
        (LENGTHS, "1,200 M", (1200, "m")),
        (LENGTHS, "5 m/s", (5, "m/s")),
        (LENGTHS, "5-km walk", (5, "km")),
        (LENGTHS, "5 kmh", (5, "kmh")),
        (LENGTHS, "5 km, which is about 3.1 yards", (5, "km")),
        (LENGTHS, "5 km or 3 miles", (3, "miles")),
        (LENGTHS, "3 yards", (3, "yards")),
        (LENGTHS, "3", (3, "")),
        (LENGTHS, "-3 km", (-3, "km")),
        (LENGTHS, "none", None),
        (MONEY, "€5", (5, "€")),
        (MONEY, "USD 5.50", (5.5, "USD")),
        (MONEY, "-€5", (-5, "€")),
        (MONEY, "3 %", (3, "%")),
    ],
)
def test_an_amount_is_read_with_its_unit(units: dict[str, float], text: str, amount: tuple[float, str] | None) -> None:
    assert measured(text, units) == amount


@pytest.mark.parametrize(
    ("expected", "seen", "score", "remark"),
    [
        ("1.2 km", "1200 m", 1, ""),
        ("1.2 km", "1200.4 m", 1, ""),
        ("1.2 km", "1.2 m", 0, "read as 1.2 m, off by 1198.8 m"),
        ("1.2 km", "3 km", 0, "read as 3 km = 3000 m, off by 1800 m"),
        ("1.2 km", "1200", 0, "no unit after 1200; the units are km, m, miles, m/s"),
        ("1.2 km", "1.2 yards", 0, "the unit 'yards' is none of km, m, miles, m/s"),
        ("1200", "1.2 km", 1, ""),
        ("1200", "1200", 1, ""),
        ("1.2 yards", "1.2 km", 0, "the unit 'yards' is none of km, m, miles, m/s"),
        ("1.2 km", "far", 0, "no number in it"),
    ],
)
def test_amounts_are_compared_in_one_unit(expected: str, seen: str, score: float, remark: str) -> None:
    assert numeric(NumericOptions(tolerance=0.5, units=LENGTHS), TEXT, expected, seen) == (score, remark)


@given(st.sampled_from(sorted(LENGTHS)), st.sampled_from(sorted(LENGTHS)), st.floats(0.001, 1e6))
def test_an_amount_in_any_unit_is_the_same_amount(one: str, two: str, number: float) -> None:
    options = NumericOptions(units=LENGTHS, tolerance=1e-6, relative=True)
    other = number * LENGTHS[one] / LENGTHS[two]
    assert numeric(options, TEXT, f"{number!r} {one}", f"{other!r} {two}") == (1, "")


@pytest.mark.parametrize("units", [{"km": 1000}, {"m": 0}, {"m": "1"}, {"": 1}, {" m": 1}, {"2m": 1}, {"m": True}])
def test_units_are_checked(units: Any) -> None:
    with pytest.raises(ValidationError):
        NumericOptions(units=units)


def by_scikit_learn(one: Sequence[str], two: Sequence[str]) -> float:
    table = MultiLabelBinarizer(classes=list("abcdefgh")).fit_transform([one, two])
    return float(f1_score(table[0], table[1], zero_division=1))


@pytest.mark.slow
def test_set_f1_is_scikit_learns() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        one, two = (chance.sample("abcdefgh", chance.randint(0, 8)) for _ in range(2))
        assert set_f1(TEXT, one, two)[0] == pytest.approx(by_scikit_learn(one, two), abs=1e-9)
