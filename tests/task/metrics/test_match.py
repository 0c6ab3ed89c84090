from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.task.metrics import match
from optimizer.task.metrics.match import _words, choice, contains, exact_match, named_labels
from optimizer.task.schema import FieldSpec
from optimizer.task.text import fold

CHOICES = ("card_arrival", "card", "not spam", "spam")
LABEL = FieldSpec(choices=CHOICES)


def spec(kind: str) -> FieldSpec:
    return FieldSpec.model_validate({"type": kind})


@pytest.mark.parametrize(
    ("kind", "expected", "seen", "score"),
    [
        ("str", "New York", " new  york\n", 1),
        ("str", "New York", "New York.", 0),
        ("str", "5", 5, 1),
        ("int", 5, "5", 1),
        ("int", 5, "five", 0),
        ("int", 5, 5.0, 1),
        ("float", 0.3, 0.1 + 0.2, 1),
        ("bool", True, "yes", 1),
        ("bool", True, "false", 0),
        ("list[str]", ["a", "b"], ["A", "b"], 1),
        ("list[str]", ["a", "b"], "a, b", 1),
        ("list[str]", ["a", "b"], ["b", "a"], 0),
        ("json", {"a": "X"}, '{"a": "x"}', 1),
        ("json", {"a": 1}, {"a": True}, 0),
        ("json", {"a": 1}, "no", 0),
    ],
)
def test_exact_match(kind: str, expected: Any, seen: Any, score: float) -> None:
    assert exact_match(spec(kind), expected, seen)[0] == score


def test_exact_match_of_a_label_needs_the_label_alone() -> None:
    assert exact_match(LABEL, "card", "Card")[0] == 1
    assert exact_match(LABEL, "card", "card.")[0] == 0
    assert exact_match(LABEL, "card", ["card"])[0] == 0


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("card", ["card"]),
        ("**Card_Arrival**.", ["card_arrival"]),
        ("card arrival", ["card_arrival"]),
        ("The label is: 'card-arrival'!", ["card_arrival"]),
        ("spam, certainly not a card", ["spam"]),
        ("It is not spam", ["not spam"]),
        ("I think spam. Yes, spam", ["spam"]),
        ("either a card or spam", ["card", "spam"]),
        ("cards", []),
        ("", []),
    ],
)
def test_named_labels(answer: str, labels: list[str]) -> None:
    assert named_labels(answer, CHOICES) == labels


@pytest.mark.parametrize(
    ("answer", "labels"), [("C++", ["C++"]), ("'C#'.", ["C#"]), ("in c", ["C"]), ("it is C#", ["C#"]), ("+", ["+"])]
)
def test_labels_that_only_punctuation_tells_apart(answer: str, labels: list[str]) -> None:
    assert named_labels(answer, ("C", "C++", "C#", "+")) == labels


def by_pattern(answer: str, choices: tuple[str, ...]) -> list[str]:
    """Return what `named_labels` returns, by one pattern of all labels: slow, and plain to see."""
    plain = {_words(label): label for label in choices}
    strip = _words if len(plain) == len(choices) and "" not in plain else fold
    by_text = {strip(label): label for label in choices}
    either = "|".join(re.escape(text) for text in sorted(by_text, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)")
    text = strip(answer)
    if start := pattern.match(text.lstrip("\"'`*([ ")):
        return [by_text[start.group()]]
    named = {by_text[label] for label in pattern.findall(text)}
    return [label for label in choices if label in named]


PIECES = st.sampled_from(["a", "b", "ab", "A", "é", "e\u0301", "ß", "ss", "1", "_", "-", "+", "#", "'", "(", " ", "\n"])
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.lists(TEXTS.map(str.strip).filter(bool), min_size=2, max_size=5, unique_by=fold), TEXTS, st.data())
def test_labels_are_found_as_by_one_pattern_of_all(choices: list[str], around: str, data: st.DataObject) -> None:
    label = data.draw(st.sampled_from([*choices, ""]))
    answer = around + label + data.draw(TEXTS)
    assert named_labels(answer, tuple(choices)) == by_pattern(answer, tuple(choices))


def test_the_work_of_an_answer_does_not_grow_with_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in the places of an answer at which a label is looked for, and in texts that are folded."""
    looked: list[str] = []
    monkeypatch.setattr(match, "fold", lambda text: looked.append(text) or fold(text))
    for many in (10, 2000):
        choices = tuple(f"label number {n}" for n in range(many))
        named_labels("", choices)
        looked.clear()
        assert named_labels("It is label number 7.", choices) == ["label number 7"]
        assert looked == ["It is label number 7."]


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=2, max_size=5, unique_by=str.casefold))
def test_every_label_names_itself(choices: list[str]) -> None:
    if len({fold(label) for label in choices}) == len(choices):
        for label in choices:
            assert named_labels(label, tuple(choices)) == [label]


@pytest.mark.parametrize(
    ("answer", "score", "remark"),
    [
        ("It is card.", 1, ""),
        ("spam", 0, "read as 'spam'"),
        ("a card or spam", 0, "names several labels: card, spam"),
        ("dunno", 0, "names no label"),
    ],
)
def test_choice(answer: str, score: float, remark: str) -> None:
    assert choice(LABEL, "card", answer) == (score, remark)


def test_choice_compares_a_field_without_choices_exactly() -> None:
    assert choice(FieldSpec(), "x", "X") == (1, "")


@pytest.mark.parametrize(
    ("expected", "seen", "score"),
    [
        ("Paris", "It is PARIS, of course", 1),
        ("Paris", "London", 0),
        ("5", "there are 5.", 1),
        ("5", "there are 15", 0),
        ("5", "there are 5.2", 0),
        ("2", "5.2", 0),
        (7, "7 of them", 1),
        ("東京", "答えは東京です", 1),
        (["a", "b"], "b and a", 1),
        (["a", "x"], "b and a", 0),
        ("b", ["a", "b"], 1),
    ],
)
def test_contains(expected: Any, seen: Any, score: float) -> None:
    assert contains(FieldSpec(), expected, seen)[0] == score


def test_contains_says_what_of_a_list_is_absent() -> None:
    assert contains(FieldSpec(), ["a", "x", "y"], "a") == (0, "not in it: x, y")
