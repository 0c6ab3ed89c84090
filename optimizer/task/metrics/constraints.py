"""What an answer must keep to, whatever it says: its length, words, form and language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, StrictBool, field_validator, model_validator

from optimizer.config.strict import Strict
from optimizer.system.limits import shorten
from optimizer.task.metrics.overlap import whole
from optimizer.task.text import fold, parse_json

Count = Annotated[int, Field(strict=True, ge=0)]
# A text breaks the constraint on its language only where another language is likelier than all others together.
_SURE = 0.5


class Length(Strict):
    """A number of words, which spaces divide, or of characters, without the spaces around the answer."""

    words: Count | None = None
    characters: Count | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Length:
        if self.words is None and self.characters is None:
            raise ValueError("give words or characters, as in {words: 60}")
        return self


class Constraints(Strict):
    """What one output, by default each of them, must keep to."""

    output: str | None = None
    longest: Length | None = None
    shortest: Length | None = None
    forbidden: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    valid_json: StrictBool = False
    language: str | None = None

    @field_validator("forbidden", "required")
    @classmethod
    def _words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(fold, words)):
            raise ValueError("a word is empty")
        return words

    @field_validator("language")
    @classmethod
    def _is_known(cls, language: str | None) -> str | None:
        if language is not None and language not in languages():
            raise ValueError("give the code of a language that can be told apart, such as en, fr or de")
        return language

    def broken(self, value: Any) -> list[str]:
        """Return what of this an answer's value breaks, in words."""
        text = (json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else whole(value)).strip()
        return [*self._lengths(text), *self._listed(text), *self._form(text, value)]

    def rules(self) -> list[str]:
        """Return what an answer must be, in words."""
        bounds = (("at most", self.longest), ("at least", self.shortest))
        listed = (("without", self.forbidden), ("with", self.required))
        return [
            *(f"{how} {number} {unit}" for how, length in bounds for unit, number in _numbers(length)),
            *(f"{how} {_quoted(words)}" for how, words in listed if words),
            *(["valid JSON"] if self.valid_json else []),
            *([f"in the language {self.language}"] if self.language else []),
        ]

    def _lengths(self, text: str) -> Iterator[str]:
        lengths = {"words": len(text.split()), "characters": len(text)}
        for unit, most in _numbers(self.longest):
            if lengths[unit] > most:
                yield f"{lengths[unit]} {unit}, at most {most} are allowed"
        for unit, least in _numbers(self.shortest):
            if lengths[unit] < least:
                yield f"{lengths[unit]} {unit}, at least {least} are asked for"

    def _listed(self, text: str) -> Iterator[str]:
        folded = fold(text)
        if there := [word for word in self.forbidden if _occurs(fold(word), folded)]:
            yield f"holds the forbidden {_quoted(there)}"
        if absent := [word for word in self.required if not _occurs(fold(word), folded)]:
            yield f"lacks the required {_quoted(absent)}"

    def _form(self, text: str, value: Any) -> Iterator[str]:
        if self.valid_json and not isinstance(value, (dict, list)):
            try:
                parse_json(text)
            except ValueError as problem:
                yield f"is not valid JSON ({problem})"
        if self.language is not None and (other := other_language(text, self.language)):
            yield f"is in the language {other}, not {self.language}"


def other_language(text: str, wanted: str) -> str:
    """Return the language that a text is in, "" where it may be the wanted one: a few words tell little.

    Naive Bayes over sequences of bytes: Lui and Baldwin 2012, https://aclanthology.org/P12-3005.
    """
    language, probability = _identifier().classify(text.encode(errors="replace").decode())
    return str(language) if language != wanted and probability >= _SURE else ""


@lru_cache(maxsize=1)
def languages() -> frozenset[str]:
    """Return the codes of the languages that can be told apart."""
    return frozenset(map(str, _identifier().nb_classes)) - {"zxx"}


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _numbers(length: Length | None) -> Iterator[tuple[str, int]]:
    for unit in ("words", "characters"):
        number = None if length is None else getattr(length, unit)
        if number is not None:
            yield unit, number


def _occurs(word: str, text: str) -> bool:
    """Whether a folded word, or words in this order, stand in a folded text, not as a part of other words."""
    before, after = (r"(?<!\w)" if word[0].isalnum() else ""), (r"(?!\w)" if word[-1].isalnum() else "")
    return re.search(f"{before}{re.escape(word)}{after}", text) is not None


def _quoted(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(shorten(word) for word in words)
