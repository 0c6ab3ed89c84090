from __future__ import annotations

import pytest

from optimizer.task.profile import KINDS, Lengths, profile_of, text_of, tokens_of
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

OUTPUTS = {"team": FieldSpec(choices=("a", "b", "c"))}
LONG = "where is the parcel that you sent me last week"


def example(message: str, team: str, line: int) -> Example:
    return Example({"message": message}, {"team": team}, f"x.csv:{line}")


def test_sizes_lengths_and_labels_of_each_split() -> None:
    parts = {
        "train": [example(f"m{n}", "ab"[n % 2], n) for n in range(10)],
        "test": [example("word " * 20, "a", 20), example("x", "c", 21)],
    }
    profile = profile_of(parts, OUTPUTS)
    assert profile.parts["train"].labels == {"team": {"a": 5, "b": 5}}
    assert profile.parts["test"].characters == Lengths(1, 1, 100)
    assert profile.parts["test"].tokens == Lengths(1, 1, 25)
    assert [(finding.kind, finding.what) for finding in profile.findings] == [
        ("missing", "of the labels of team has no example in train: c"),
        ("missing", "of the labels of team has no example in test: b"),
        ("rare", "of the labels of team have fewer than 5 examples in test: a, c"),
    ]


def test_leaks_conflicts_copies_and_near_duplicates_are_told_apart() -> None:
    parts = {
        "train": [
            *(example("One", "a", 1), example("one ", "b", 2)),
            *(example("two", "a", 3), example("two", "a", 4)),
            *(example("three", "a", 5), example(LONG, "a", 6), example(f"{LONG} now", "b", 7)),
        ],
        "test": [example("THREE", "a", 8), example(f"{LONG}, please", "a", 9)],
    }
    found = {finding.kind: finding for finding in profile_of(parts, {"team": FieldSpec()}).findings}
    assert list(found) == [kind for kind in KINDS if kind in found]
    assert found["leak"].examples == (("x.csv:5 (train)", "x.csv:8 (test)"),)
    assert found["conflict"].examples == (("x.csv:1 (train)", "x.csv:2 (train)"),)
    assert found["copy"].examples == (("x.csv:3 (train)", "x.csv:4 (train)"),)
    assert [finding.count for finding in found.values()] == [1] * 5
    assert found["near_leak"].examples[0][1] == "x.csv:9 (test)"
    assert found["near_duplicate"].what.endswith(", 1 of them with another output")


def test_where_nothing_is_split_no_split_is_named() -> None:
    profile = profile_of({"all": [example("one", "a", 1), example("one", "b", 2)]}, OUTPUTS)
    assert [finding.kind for finding in profile.findings] == ["conflict"]
    assert profile.findings[0].examples == (("x.csv:1", "x.csv:2"),)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abc", 1), ("abcde", 2), ("你好吗", 3), ("ab 你好", 3)])
def test_tokens_are_about_four_letters_or_one_sign(text: str, tokens: int) -> None:
    assert tokens_of(text) == tokens


def test_the_text_of_an_example_has_all_inputs() -> None:
    assert text_of(Example({"a": "x", "b": [1]}, {})) == "x\n[1]"
