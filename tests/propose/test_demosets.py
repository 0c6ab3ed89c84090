from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from optimizer.propose.demosets import balanced_sets
from optimizer.types import Example

labels = st.lists(st.sampled_from("abc"), max_size=25)


def made(written: list[str]) -> list[Example]:
    return [Example({"x": str(n)}, {"y": label}) for n, label in enumerate(written)]


@given(labels, st.integers(1, 4), st.integers(0, 12), st.integers(0, 99))
def test_a_shorter_set_is_the_start_of_a_longer_one(written: list[str], sets: int, size: int, seed: int) -> None:
    examples = made(written)
    short, long = balanced_sets(examples, sets, size, seed), balanced_sets(examples, sets, size + 5, seed)
    assert [s[:size] for s in long] == list(short)


@given(labels, st.integers(0, 30), st.integers(0, 99))
def test_a_set_holds_distinct_examples_of_the_pool(written: list[str], size: int, seed: int) -> None:
    examples = made(written)
    for drawn in balanced_sets(examples, 3, size, seed):
        assert len(drawn) == min(size, len(examples))
        assert len({e.id for e in drawn}) == len(drawn)
        assert {e.id for e in drawn} <= {e.id for e in examples}


@given(labels, st.integers(1, 25), st.integers(0, 99))
def test_labels_differ_by_one_at_most_unless_one_ran_out(written: list[str], size: int, seed: int) -> None:
    there = Counter(written)
    for drawn in balanced_sets(made(written), 2, size, seed):
        for stop in range(1, len(drawn) + 1):
            counts = Counter(e.outputs["y"] for e in drawn[:stop])
            most = max(counts.values())
            short = [label for label in there if counts[label] < min(most - 1, there[label])]
            assert short == []


def test_labels_are_balanced_on_skewed_data() -> None:
    for drawn in balanced_sets(made(["a"] * 90 + ["b"] * 5 + ["c"] * 5), 5, 9, 0):
        assert Counter(e.outputs["y"] for e in drawn) == {"a": 3, "b": 3, "c": 3}


def test_the_seed_decides_and_sets_differ() -> None:
    examples = made(list("abc") * 10)
    assert balanced_sets(examples, 4, 8, 1) == balanced_sets(examples, 4, 8, 1)
    assert balanced_sets(examples, 4, 8, 1) != balanced_sets(examples, 4, 8, 2)
    assert len({tuple(e.id for e in drawn) for drawn in balanced_sets(examples, 4, 8, 1)}) == 4


def test_adding_sets_leaves_the_first_ones_as_they_were() -> None:
    examples = made(list("abc") * 10)
    assert balanced_sets(examples, 6, 8, 1)[:3] == balanced_sets(examples, 3, 8, 1)


def test_outputs_that_are_lists_can_be_balanced_too() -> None:
    examples = [Example({"x": n}, {"y": ["a", "b"] if n % 2 else []}) for n in range(8)]
    for drawn in balanced_sets(examples, 2, 4, 0):
        assert sum(bool(e.outputs["y"]) for e in drawn) == 2
