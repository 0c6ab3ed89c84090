from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.task.perturb import Kind, changeable, changed
from optimizer.task.schema import FieldSpec

TEXT = "My parcel from order 4711 never arrived; write to anna.meier@example.org about the SEPA payment."
KINDS: tuple[Kind, ...] = ("typos", "case", "padding")
NESTED = st.recursive(
    st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=200))
def test_a_text_is_always_changed_in_the_same_way(kind: Kind, text: str) -> None:
    made = changed(kind, {"text": text, "other": text}, ["text"])
    assert made == changed(kind, {"text": text, "other": text}, ["text"])
    assert made is None or (made["text"] != text and made["other"] == text and list(made) == ["text", "other"])


def test_typos_leave_numbers_addresses_and_abbreviations() -> None:
    for number in range(50):
        made = changed("typos", {"text": f"{TEXT} {number}"}, ["text"])
        assert made is not None
        words, before = made["text"].split(), f"{TEXT} {number}".split()
        assert len(words) == len(before)
        assert {"4711", "anna.meier@example.org", "SEPA", str(number)} <= set(words)
        assert 1 <= sum(one != other for one, other in zip(words, before, strict=True)) <= 2


@given(st.text(string.ascii_letters, min_size=4, max_size=12))
def test_a_typo_keeps_the_first_letter_and_the_last_one(word: str) -> None:
    made = changed("typos", {"text": word}, ["text"])
    if word.isupper():
        assert made is None
    elif made is not None:
        assert (made["text"][0], made["text"][-1]) == (word[0], word[-1])
        assert abs(len(made["text"]) - len(word)) <= 1


@given(st.text(string.printable, min_size=1))
def test_case_and_padding_change_nothing_else(text: str) -> None:
    other = changed("case", {"text": text}, ["text"])
    padded = changed("padding", {"text": text}, ["text"])
    assert other is None or other["text"].casefold() == text.casefold()
    assert padded is not None
    assert padded["text"].strip() == text.strip()


@given(st.dictionaries(st.sampled_from("abcdef"), NESTED, min_size=2))
def test_reordered_fields_are_the_same_object(value: dict[str, object]) -> None:
    made = changed("field_order", {"order": value}, ["order"])
    assert made is not None
    assert made["order"] == value
    assert list(made["order"]) != list(value)


def test_what_cannot_be_changed_is_no_change() -> None:
    assert changed("field_order", {"order": {"a": [1, 2]}}, ["order"]) is None, "a list's order may mean something"
    assert changed("typos", {"text": "a to be 12"}, ["text"]) is None
    assert changed("case", {"text": "12"}, ["text"]) is None


def test_labels_and_numbers_are_not_changed() -> None:
    fields = {"text": FieldSpec(), "tier": FieldSpec(choices=("a", "b")), "n": FieldSpec(type="int")}
    fields["order"] = FieldSpec(type="json")
    assert changeable("typos", fields) == ("text",)
    assert changeable("field_order", fields) == ("order",)
