from __future__ import annotations

import copy
import json
import os
from typing import Any

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import ConfigError, InternalError
from optimizer.testing.fuzz import (
    LONGEST_MESSAGE,
    ODD,
    broken,
    damaged,
    damages,
    files,
    json_text,
    mutated,
    refusal,
    sound,
)

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
VALID: dict[str, Any] = {"a": [1, "two", {"b": None}], "c": {"d": 0.5}, "e": "text"}


def drawn(strategy: st.SearchStrategy[Any], count: int = 150) -> list[Any]:
    """Return what a strategy gives."""
    made: list[Any] = []

    @hypothesis.seed(SEED)
    @settings(max_examples=count, database=None)
    @given(strategy)
    def one(value: Any) -> None:
        made.append(value)

    one()
    return made


def test_data_is_changed_and_what_it_was_made_of_is_not() -> None:
    before, odd = copy.deepcopy(VALID), repr(ODD)
    made = drawn(mutated(VALID))
    assert before == VALID
    assert repr(ODD) == odd
    assert sum(one != VALID for one in made) > len(made) / 2
    assert {"a", "c", "e"} - set.intersection(*(set(one) for one in made)), "no key was ever taken out"


def test_bytes_are_changed_in_length_and_in_place() -> None:
    valid = b"0123456789" * 20
    made = drawn(damaged(valid))
    assert {len(one) < len(valid) for one in made} == {True, False}
    assert any(len(one) == len(valid) != 0 and one != valid for one in made)


def test_damages_fit_bytes_that_earlier_ones_cut_off() -> None:
    assert broken(b"", [("flip", 9, 3), ("zero", 9, 2), ("put", 9, b"x"), ("byte", 9, 65)]) == b"\x00xA"
    assert broken(b"abcd", [("cut", 2, 1), ("twice", 9, 5), ("flip", 0, 1)]) == b"cbb"
    for steps in drawn(damages(1_000)):
        broken(b"0" * 10, steps)


def test_files_are_still_readable_now_and_then() -> None:
    def readable(content: bytes) -> bool:
        try:
            json.loads(content)
        except ValueError:
            return False
        return True

    share = [readable(content) for content in drawn(files(VALID, json_text))]
    assert 0.3 < sum(share) / len(share) < 0.95


def test_a_refusal_is_one_message_that_can_be_shown() -> None:
    def refuse() -> None:
        raise ConfigError("wrong", "Do this.")

    def break_() -> None:
        raise InternalError("a bug") from KeyError("x")

    assert refusal(lambda: None) == ""
    assert refusal(refuse) == "wrong\n  Do this."
    with pytest.raises(KeyError):
        refusal(break_)
    for text in ("", "a" * (LONGEST_MESSAGE + 1), "\x1b[2J"):
        with pytest.raises(AssertionError):
            sound(text)
