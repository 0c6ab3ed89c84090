from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.draw import MOST_LABELS, Row, distinct, draw

LABELS = st.lists(st.sampled_from("abcde"), min_size=6, max_size=60)


def rows_of(labels: list[str]) -> list[Row]:
    return [{"input": f"text {number}", "output": label} for number, label in enumerate(labels)]


@given(labels=LABELS, seed=st.integers(0, 9), data=st.data())
def test_parts_are_disjoint_and_have_the_labels_shares(labels: list[str], seed: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(labels) - 1))
    sizes = (first, data.draw(st.integers(1, len(labels) - first)))
    parts = draw(rows_of(labels), sizes, random.Random(seed))
    assert [len(part) for part in parts] == list(sizes)
    inputs = [row["input"] for part in parts for row in part]
    assert len(set(inputs)) == len(inputs)
    for part, size in zip(parts, sizes, strict=True):
        counts = Counter(row["output"] for row in part)
        for label, count in Counter(labels).items():
            # A label's examples lie evenly; of each other label one may be too many or too few.
            assert abs(counts[label] - size * count / len(labels)) <= len(set(labels))


def test_free_text_is_drawn_without_strata() -> None:
    labels = [str(number) for number in range(MOST_LABELS + 1)]
    (part,) = draw(rows_of(labels), (5,), random.Random(0))
    assert len({row["output"] for row in part}) == 5


def test_too_many_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="7 examples are asked for, and the file has 6"):
        draw(rows_of(["a"] * 6), (4, 3), random.Random(0))


def test_each_input_is_there_once_with_its_last_output() -> None:
    rows = [{"input": "a", "output": "x"}, {"input": "b", "output": "x"}, {"input": "a", "output": "y"}]
    assert distinct(rows) == [{"input": "a", "output": "y"}, {"input": "b", "output": "x"}]
