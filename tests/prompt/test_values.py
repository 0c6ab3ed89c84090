from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from optimizer.prompt.values import label_of, read, render

Label = Literal["spam", "not spam", "C++"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is ", "as it is "),
        (["a", "b c"], "a, b c"),
        ([], ""),
        (["a,b", "c"], '["a,b", "c"]'),
        ([1, 2], "[1, 2]"),
        (True, "yes"),
        (False, "no"),
        (1, "1"),
        (2.5, "2.5"),
        (None, "null"),
        ({"é": 1}, '{"é": 1}'),
    ],
)
def test_values_are_written_as_a_person_would(value: Any, text: str) -> None:
    assert render(value) == text


@pytest.mark.parametrize(("name", "label"), [("due_date", "Due date"), ("x", "X"), ("URL", "Url")])
def test_a_field_name_becomes_a_heading(name: str, label: str) -> None:
    assert label_of(name) == label


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Label, "spam", "spam"),
        (Label, " Not spam.\n", "not spam"),
        (Label, "I think it is SPAM", "spam"),
        (str, "  words \n", "words"),
        (bool, "Yes, it is.", True),
        (bool, "FALSE", False),
        (bool, "non", False),
        (bool, "1", True),
        (int, "The answer is 1,234.", 1234),
        (int, "-7", -7),
        (int, "2 + 3 = 5", 5),
        (int, "4.0", 4),
        (int, "1e3", 1000),
        (int, "9007199254740993", 9007199254740993),
        (float, "about 2.50 euros", 2.5),
        (float, "3", 3.0),
        (list[str], "a, b ,c", ["a", "b", "c"]),
        (list[str], "- a\n- b\n* c\n", ["a", "b", "c"]),
        (list[str], '["a,b", "c"]', ["a,b", "c"]),
        (list[str], "[a, b", ["[a", "b"]),
        (list[str], "", []),
        (dict[str, Any] | list[Any], 'Here: ```json\n{"a": [1, 2]}\n``` done', {"a": [1, 2]}),
        (dict[str, Any] | list[Any], "[1, 2]", [1, 2]),
    ],
)
def test_answers_are_read(annotation: Any, text: str, value: Any) -> None:
    if text == "[a, b":
        with pytest.raises(ValueError, match="no JSON"):
            read(annotation, text)
        return
    found = read(annotation, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text", "why"),
    [
        (Label, "it may be spam or C++", "names several labels"),
        (Label, "ham", "names no label"),
        (Label, "", "names no label"),
        (bool, "maybe", "neither yes nor no"),
        (bool, "", "neither yes nor no"),
        (int, "none", "holds no number"),
        (int, "2.5", "is not a whole number"),
        (float, "", "holds no number"),
        (dict[str, Any] | list[Any], "no braces", "holds no JSON"),
        (dict[str, Any] | list[Any], "} {", "holds no JSON"),
    ],
)
def test_an_answer_without_a_value_is_a_value_error(annotation: Any, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(annotation, text)


@pytest.mark.parametrize("annotation", [int, float])
@pytest.mark.parametrize("text", ["1e999", "9" * 400, "-1e999"])
def test_a_babbled_number_is_read_or_is_a_value_error(annotation: Any, text: str) -> None:
    """A weak model repeats a digit for ever: that must not end the run."""
    try:
        number = read(annotation, text)
    except ValueError:
        return
    assert number not in (float("inf"), float("-inf"))


@given(st.sampled_from([int, float, bool, str, list[str], Label, dict[str, Any] | list[Any]]), st.text(max_size=40))
@example(int, "1e400")
def test_reading_anything_gives_a_value_or_a_value_error(annotation: Any, text: str) -> None:
    with suppress(ValueError):
        assert read(annotation, text) is not None


@given(st.integers())
def test_whole_numbers_survive(number: int) -> None:
    assert read(int, render(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive(number: float) -> None:
    assert read(float, render(number)) == number


@given(st.booleans())
def test_booleans_survive(value: bool) -> None:
    assert read(bool, render(value)) is value


@given(st.lists(st.text("abc xyz,'é", min_size=1, max_size=8).map(str.strip).filter(bool), max_size=4))
def test_lists_of_text_survive(items: list[str]) -> None:
    assume(not any(item.strip("'") != item or not item.strip(",' ") for item in items))
    assert read(list[str], render(items)) == items


@given(st.dictionaries(st.text("abc", max_size=3), st.integers() | st.text('xyz{}[]"', max_size=4), max_size=3))
def test_json_survives_words_around_it(value: dict[str, Any]) -> None:
    assert read(dict[str, Any] | list[Any], f"The answer: {render(value)}\nDone.") == value
