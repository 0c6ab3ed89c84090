"""exact_match, choice and contains: whether the expected text is there."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from optimizer.task.schema import FieldSpec
from optimizer.task.text import equal, fold
from optimizer.task.values import coerce


def exact_match(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score 1 where the values are equal; text without regard to case and spacing."""
    return float(same(spec, expected, seen)), ""


def choice(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score 1 where the answer starts with the expected label, or holds it and no other label."""
    if spec.choices is None:
        return exact_match(spec, expected, seen)
    labels = named_labels(str(seen), spec.choices)
    if len(labels) == 1:
        return float(labels[0] == expected), "" if labels[0] == expected else f"read as {labels[0]!r}"
    return 0.0, f"names several labels: {', '.join(labels)}" if labels else "names no label"


def contains(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score 1 where the expected text, or each of a list's, occurs in the answer."""
    answer = fold(", ".join(map(str, seen)) if isinstance(seen, list) else str(seen))
    wanted = expected if isinstance(expected, list) else [expected]
    absent = [str(text) for text in wanted if not _occurs(fold(str(text)), answer)]
    return float(not absent), f"not in it: {', '.join(absent)}" if absent and len(wanted) > 1 else ""


def same(spec: FieldSpec, expected: Any, seen: Any) -> bool:
    """Whether an answer equals the expected value, once both have the field's type and are folded."""
    if spec.choices is not None:
        return fold(str(seen)) == fold(str(expected))
    try:
        return equal(coerce(spec, seen), expected)
    except ValueError:
        return False


def named_labels(answer: str, choices: tuple[str, ...]) -> list[str]:
    """Return the label that an answer starts with, else each label that occurs in it, in choices' order."""
    table = _label_table(choices)
    text = _words(answer) if table.in_words else fold(answer)
    if first := _label_at(text.lstrip("\"'`*([ "), 0, table):
        return [choices[table.places[first]]]
    named, at = set(), 0
    while at < len(text):
        found = _label_at(text, at, table)
        named |= {table.places[found]} if found else set()
        at += len(found) or 1
    return [choices[number] for number in sorted(named)]


class _LabelTable(NamedTuple):
    """Labels as they are looked for: their places in the choices, and by first letter their lengths, longest first."""

    in_words: bool
    places: dict[str, int]
    lengths: dict[str, list[int]]


@lru_cache(maxsize=64)
def _label_table(choices: tuple[str, ...]) -> _LabelTable:
    words = {_words(label): number for number, label in enumerate(choices)}
    # 'C', 'C++' and 'C#' are one word without their punctuation: such labels are looked for as they stand.
    in_words = len(words) == len(choices) and "" not in words
    places = words if in_words else {fold(label): number for number, label in enumerate(choices)}
    lengths: dict[str, set[int]] = {}
    for text in places:
        lengths.setdefault(text[0], set()).add(len(text))
    return _LabelTable(in_words, places, {first: sorted(found, reverse=True) for first, found in lengths.items()})


def _label_at(text: str, at: int, table: _LabelTable) -> str:
    """Return the longest label that stands at a place of a text as a word of its own, "" if none does.

    The longest: the label 'not spam' is no mention of 'spam'.
    """
    if not text or re.match(r"\w", text[max(0, at - 1) : at]):
        return ""
    ends = ((at + length) for length in table.lengths.get(text[at], ()))
    whole = (text[at:end] for end in ends if not re.match(r"\w", text[end : end + 1]))
    return next((found for found in whole if found in table.places), "")


def _words(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", fold(text)).split())


def _occurs(wanted: str, answer: str) -> bool:
    # A number is not part of a longer number: 5 does not occur in 15 or in 5.2.
    before = r"(?<!\d)(?<!\d[.,])" if wanted[:1].isdigit() else ""
    after = r"(?![.,]?\d)" if wanted[-1:].isdigit() else ""
    return re.search(f"{before}{re.escape(wanted)}{after}", answer) is not None
