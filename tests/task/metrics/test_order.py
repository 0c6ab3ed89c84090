from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from optimizer.task.metrics.order import folded_list, kendall_tau, list_order
from optimizer.task.schema import FieldSpec

TEXT = FieldSpec()
LISTS = st.lists(st.sampled_from("abcdefA"), max_size=8)


@pytest.mark.parametrize(
    ("expected", "seen", "score", "remark"),
    [
        (["a", "b", "c"], ["A", "b ", "c"], 1, ""),
        ("a, b, c", "a\nb\nc", 1, ""),
        (["a", "b", "c"], ["c", "b", "a"], 0, "too early: c, b"),
        (["a", "b", "c", "d"], ["b", "a", "c", "d"], 5 / 6, "too early: b"),
        (["a", "b", "c"], ["a", "b"], 0.8, "missing: c"),
        (["a", "b"], ["a", "x", "b"], 0.8, "too many: x"),
        (["a", "b"], ["x"], 0, "missing: a, b; too many: x"),
        (["a"], ["a"], 1, ""),
        (["a", "b", "a"], ["a", "a", "b"], 2 / 3, "too early: a"),
        (["a", "b", "a"], ["a", "b", "a"], 1, ""),
        ([], [], 1, ""),
        ([], ["x"], 0, "too many: x"),
        (["x"], [], 0, "missing: x"),
    ],
)
def test_list_order(expected: Any, seen: Any, score: float, remark: str) -> None:
    assert list_order(TEXT, expected, seen) == (pytest.approx(score), remark)


@given(LISTS, LISTS)
def test_it_is_bounded_and_symmetric_and_case_does_not_count(one: list[str], two: list[str]) -> None:
    score = list_order(TEXT, one, two)[0]
    assert 0 <= score <= 1
    assert score == pytest.approx(list_order(TEXT, two, one)[0])
    assert score == list_order(TEXT, one, [item.upper() for item in two])[0]
    assert list_order(TEXT, one, one) == (1, "")


def test_tau_is_scipys() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        positions = chance.sample(range(50), chance.randint(2, 12))
        there = kendalltau(range(len(positions)), positions, variant="b").statistic
        assert kendall_tau(positions) == pytest.approx(there, abs=1e-9)


@given(st.permutations(range(6)))
def test_a_list_turned_round_has_the_opposite_tau(positions: list[int]) -> None:
    assert kendall_tau(positions) == pytest.approx(-kendall_tau(positions[::-1]))


def test_items_are_folded_and_empty_ones_left_out() -> None:
    assert folded_list("A ,, b\n C") == ["a", "b", "c"]
    assert folded_list(["", " X  y"]) == ["x y"]
