from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optimizer.task.metrics.constraints import Constraints, languages, other_language

BONJOUR = "Bonjour, je voudrais savoir où est mon colis."


@pytest.mark.parametrize(
    ("written", "value", "broken"),
    [
        ({"longest": {"words": 2}}, " two words ", []),
        ({"longest": {"words": 2}}, "these three words", ["3 words, at most 2 are allowed"]),
        ({"longest": {"characters": 2}}, " ab\n", []),
        ({"longest": {"words": 9, "characters": 2}}, "abc", ["3 characters, at most 2 are allowed"]),
        ({"shortest": {"words": 2}}, "one", ["1 words, at least 2 are asked for"]),
        ({"shortest": {"characters": 1}}, "", ["0 characters, at least 1 are asked for"]),
        ({"longest": {"words": 2}}, ["one two", "three"], ["3 words, at most 2 are allowed"]),
        ({"forbidden": ["TODO", "as an AI"]}, "todos: none", []),
        ({"forbidden": ["TODO", "as an AI"]}, "As  an ai, todo", ["holds the forbidden 'TODO', 'as an AI'"]),
        ({"forbidden": ["C++"]}, "in c++11", ["holds the forbidden 'C++'"]),
        ({"required": ["Regards"]}, "Kind regards", []),
        ({"required": ["Regards", "Dear"]}, "Best", ["lacks the required 'Regards', 'Dear'"]),
        ({"required": ["a"]}, {"a": 1}, []),
        ({"valid_json": True}, '{"a": 1}', []),
        ({"valid_json": True}, {"a": 1}, []),
        ({"valid_json": True}, ["a"], []),
        (
            {"valid_json": True},
            "{a: 1}",
            ["is not valid JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"],
        ),
        ({"language": "fr"}, BONJOUR, []),
        ({"language": "fr"}, "Where is my parcel, please?", ["is in the language en, not fr"]),
        ({"language": "fr"}, "ok", []),
        ({"language": "fr"}, "", []),
        ({}, "anything", []),
    ],
)
def test_what_is_broken_is_named(written: dict[str, Any], value: Any, broken: list[str]) -> None:
    assert Constraints(**written).broken(value) == broken


@pytest.mark.parametrize(
    "written",
    [
        {"longest": {}},
        {"longest": 5},
        {"longest": {"words": -1}},
        {"longest": {"words": "5"}},
        {"forbidden": "word"},
        {"required": [" "]},
        {"valid_json": 1},
        {"language": "french"},
        {"language": "zxx"},
    ],
)
def test_constraints_are_checked(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Constraints(**written)


def test_what_an_answer_must_be_is_told() -> None:
    written = Constraints(
        longest={"words": 60, "characters": 400},
        shortest={"words": 1},
        forbidden=["TODO"],
        required=["Dear", "yours"],
        valid_json=True,
        language="fr",
    )
    lengths = ["at most 60 words", "at most 400 characters", "at least 1 words"]
    assert written.rules() == [*lengths, "without 'TODO'", "with 'Dear', 'yours'", "valid JSON", "in the language fr"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Please send me the invoice for my last order."),
        ("fr", BONJOUR),
        ("de", "Können Sie mir bitte sagen, wo mein Paket ist?"),
        ("es", "¿Dónde está mi paquete? No ha llegado todavía."),
        ("it", "Vorrei sapere dove si trova il mio pacco, grazie."),
        ("ja", "荷物はどこにありますか。"),
        ("ru", "Где моя посылка? Она ещё не пришла."),
    ],
)
def test_languages_are_told_apart(language: str, text: str) -> None:
    assert other_language(text, language) == ""
    assert language in languages()
    assert other_language(text, "pl") == language


@given(st.text(), st.text(min_size=1, max_size=5).filter(str.strip))
def test_a_word_cannot_be_both_there_and_not(text: str, word: str) -> None:
    if word.strip().casefold().strip():
        forbidden, required = Constraints(forbidden=(word,)), Constraints(required=(word,))
        assert bool(forbidden.broken(text)) != bool(required.broken(text))


@given(st.text(alphabet=st.characters(codec=None)))
def test_a_language_of_any_text_can_be_asked_for(text: str) -> None:
    assert other_language(text, "fr") != "fr"
