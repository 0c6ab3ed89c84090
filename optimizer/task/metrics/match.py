"""exact_match, choice and contains: whether the expected text is there."""

from __future__ import annotations

import re
from typing import Any

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
    plain = {_words(label): label for label in choices}
    # 'C', 'C++' and 'C#' are one word without their punctuation: such labels are looked for as they stand.
    strip = _words if len(plain) == len(choices) and "" not in plain else fold
    by_text = {strip(label): label for label in choices}
    # The longest first: the label 'not spam' is no mention of 'spam'.
    either = "|".join(re.escape(text) for text in sorted(by_text, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)")
    text = strip(answer)
    if start := pattern.match(text.lstrip("\"'`*([ ")):
        return [by_text[start.group()]]
    named = {by_text[label] for label in pattern.findall(text)}
    return [label for label in choices if label in named]


def _words(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", fold(text)).split())


def _occurs(wanted: str, answer: str) -> bool:
    # A number is not part of a longer number: 5 does not occur in 15 or in 5.2.
    before = r"(?<!\d)(?<!\d[.,])" if wanted[:1].isdigit() else ""
    after = r"(?![.,]?\d)" if wanted[-1:].isdigit() else ""
    return re.search(f"{before}{re.escape(wanted)}{after}", answer) is not None
