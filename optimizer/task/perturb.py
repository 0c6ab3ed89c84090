"""Inputs that say the same in another way: with typos, in another case, with blank lines around, keys reordered.

Each change is drawn by the input itself: an example is changed in the same way in every run, so that its calls are
cached, and all candidates see the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Literal

from optimizer.task.schema import FieldSpec
from optimizer.types import digest

Kind = Literal["typos", "case", "padding", "field_order", "paraphrase"]
# One word in so many has a typo, and at least one.
WORDS_A_TYPO = 8
# A word of four letters or more that is no part of an address, a number, a file's name or an abbreviation in capitals.
_WORD = re.compile(r"(?<![\w@/.\-])[^\W\d_]{4,}(?![\w@/]|[.\-]\w)")


def changeable(kind: Kind, fields: Mapping[str, FieldSpec]) -> tuple[str, ...]:
    """Return the names of the inputs that a kind of change can change: JSON for field_order, else free text."""
    if kind == "field_order":
        return tuple(name for name, spec in fields.items() if spec.type == "json")
    return tuple(name for name, spec in fields.items() if spec.type == "str" and spec.choices is None)


def changed(kind: Kind, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """Return the inputs with those of these names changed; None where that changes nothing."""
    made = dict(inputs)
    for name in names:
        if kind == "field_order" or isinstance(made.get(name), str):
            made[name] = _CHANGES[kind](made[name], Random(digest([kind, name, made[name]])))  # noqa: S311 - no secret
    return None if _same(made, inputs) else made


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    # Two mappings are equal whatever the order of their keys, which is what field_order changes.
    return all(repr(one[name]) == repr(other[name]) for name in other)


def _typos(text: Any, rng: Random) -> Any:
    words = [match for match in _WORD.finditer(text) if not match.group().isupper()]
    wrong = rng.sample(words, min(len(words), max(1, round(len(words) / WORDS_A_TYPO))))
    for match in sorted(wrong, key=lambda one: -one.start()):
        text = text[: match.start()] + _misspelt(match.group(), rng) + text[match.end() :]
    return text


def _misspelt(word: str, rng: Random) -> str:
    """Return a word with a letter left out, doubled, or swapped with the next; the first and the last one stay."""
    at = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[: at + 1] + word[at:]


def _case(text: Any, rng: Random) -> Any:
    others = [other for other in (text.lower(), text.upper()) if other != text]
    return rng.choice(others) if others else text


def _padding(text: Any, rng: Random) -> Any:
    return (
        "\n" * rng.randint(1, 2) + " " * rng.randint(0, 3) + text + " " * rng.randint(1, 3) + "\n" * rng.randint(1, 2)
    )


def _field_order(value: Any, rng: Random) -> Any:
    if isinstance(value, list):  # whose order may mean something
        return [_field_order(item, rng) for item in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    rng.shuffle(keys)
    keys = keys[::-1] if keys == list(value) else keys
    return {key: _field_order(value[key], rng) for key in keys}


_CHANGES: Mapping[str, Callable[[Any, Random], Any]] = {
    "typos": _typos,
    "case": _case,
    "padding": _padding,
    "field_order": _field_order,
}
