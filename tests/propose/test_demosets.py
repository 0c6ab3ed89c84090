from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from optimizer.propose.demosets import balanced_sets
from optimizer.types import Example

labels = st.lists(st.sampled_from("abc"), max_size=25)
COUNTS = st.lists(st.integers(0, 25), min_size=1, max_size=5)


def made(written: list[str]) -> list[Example]:
    return [Example({"x": str(n)}, {"y": label}) for n, label in enumerate(written)]


@given(labels, COUNTS, st.integers(0, 99))
def test_labels_are_balanced_at_each_count(written: list[str], counts: list[int], seed: int) -> None:
    there = Counter(written)
    for drawn in balanced_sets(made(written), 2, counts, seed):
        for stop in counts:
            shown = Counter(e.outputs["y"] for e in drawn[:stop])
            most = max(shown.values(), default=0)
            assert [label for label in there if shown[label] < min(most - 1, there[label])] == []


def test_labels_follow_no_pattern() -> None:
    """Of two labels that took turns one would never stand beside itself."""
    drawn = balanced_sets(made(["a", "b"] * 20), 20, (0, 2, 4, 8, 16), 0)
    orders = {tuple(e.outputs["y"] for e in one) for one in drawn}
    assert len(orders) == 20
    assert all(any(a == b for a, b in pairwise(order)) for order in orders)


@given(labels, st.integers(0, 30), st.integers(0, 99))
def test_a_set_holds_distinct_examples_of_the_pool(written: list[str], size: int, seed: int) -> None:
    examples = made(written)
    for drawn in balanced_sets(examples, 3, [size], seed):
        assert len(drawn) == min(size, len(examples))
        assert len({e.id for e in drawn}) == len(drawn)
        assert {e.id for e in drawn} <= {e.id for e in examples}


def test_labels_are_balanced_on_skewed_data() -> None:
    for drawn in balanced_sets(made(["a"] * 90 + ["b"] * 5 + ["c"] * 5), 5, [9], 0):
        assert Counter(e.outputs["y"] for e in drawn) == {"a": 3, "b": 3, "c": 3}


def test_the_seed_decides_and_sets_differ() -> None:
    examples = made(list("abc") * 10)
    assert balanced_sets(examples, 4, [8], 1) == balanced_sets(examples, 4, [8], 1)
    assert balanced_sets(examples, 4, [8], 1) != balanced_sets(examples, 4, [8], 2)
    assert len({tuple(e.id for e in drawn) for drawn in balanced_sets(examples, 4, [8], 1)}) == 4


def test_adding_sets_leaves_the_first_ones_as_they_were() -> None:
    examples = made(list("abc") * 10)
    assert balanced_sets(examples, 6, [8], 1)[:3] == balanced_sets(examples, 3, [8], 1)


def test_outputs_that_are_lists_can_be_balanced_too() -> None:
    examples = [Example({"x": n}, {"y": ["a", "b"] if n % 2 else []}) for n in range(8)]
    for drawn in balanced_sets(examples, 2, [4], 0):
        assert sum(bool(e.outputs["y"]) for e in drawn) == 2
