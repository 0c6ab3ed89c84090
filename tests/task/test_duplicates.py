from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.task.duplicates import ALIKE, nearly_equal

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sentences(count: int, seed: int = 0) -> list[str]:
    """Return sentences of eight to twenty made-up words."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(3, 9))) for _ in range(2000)]
    return [" ".join(draw.choices(words, k=draw.randint(8, 20))) for _ in range(count)]


def pairs(texts: list[str], parts: list[int] | None = None) -> set[tuple[int, int]]:
    return {(near.one, near.two) for near in nearly_equal([[text] for text in texts], parts or [0] * len(texts))}


def changed(text: str, number: int) -> str:
    return (f"{text} please", f"Hello, {text}!", text.upper().replace(" ", ", "), text[:20] + text[21:])[number % 4]


def test_planted_pairs_are_seen_among_thousands_and_no_others() -> None:
    texts = sentences(3000)
    texts += [changed(texts[number], number) for number in range(50)]
    assert pairs(texts) == {(number, 3000 + number) for number in range(50)}


def test_a_text_has_a_pair_in_its_part_and_one_in_another() -> None:
    text, *others = sentences(20)
    texts = [text, *others, f"{text} please", f"{text} thanks"]
    assert pairs(texts, [0] * 20 + [1, 1]) == {(0, 20), (0, 21), (20, 21)}


def test_case_spaces_and_punctuation_do_not_count() -> None:
    assert [
        near.likeness for near in nearly_equal([["Where is my parcel now?"], ["where, is  MY parcel now"]], [0, 0])
    ] == [1]


def test_each_field_must_be_nearly_equal() -> None:
    document = " ".join(sentences(20))
    assert nearly_equal([[document, "How much is it?"], [document, "Who is the sender?"]], [0, 0]) == []
    assert len(nearly_equal([[document, "How much is it?"], [document, "how much is it"]], [0, 0])) == 1
    assert nearly_equal([[document, "1"], [document, "2"]], [0, 0]) == []


def test_short_texts_are_not_looked_at() -> None:
    assert pairs(["message 1", "message 2", ""]) == set()
    assert nearly_equal([], []) == []


def test_many_texts_that_are_all_alike_take_no_square_of_time() -> None:
    texts = [f"Dear customer, your order number {number} was shipped today" for number in range(2000)]
    assert {two for _, two in pairs(texts)} == set(range(1, 2000))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=0, max_size=60), max_size=12))
def test_pairs_are_alike_and_in_order(texts: list[str]) -> None:
    near = nearly_equal([[text] for text in texts], list(range(len(texts))))
    assert all(one.one < one.two and ALIKE <= one.likeness <= 1 for one in near)
    assert [one.likeness for one in near] == sorted((one.likeness for one in near), reverse=True)
