"""What the answers say beyond their mean: classes confused, examples fixed and broken, labels in doubt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from optimizer.ledger.answers import Answer
from optimizer.types import canonical_json

Examples = Mapping[str, Mapping[str, Mapping[str, Any]]]
MOST_CLASSES = 100
VOTERS, AGREEMENT = 3, 0.8
UNREADABLE, OTHER = "(unreadable)", "(other)"


@dataclass(frozen=True)
class Change:
    """An example whose score differs between two candidates."""

    example: str
    before: Answer
    after: Answer


@dataclass(frozen=True)
class Doubt:
    """An example whose label the good candidates agree to contradict: `votes` of `voters` gave `answer`."""

    example: str
    answer: Mapping[str, Any]
    votes: int
    voters: int


def class_fields(examples: Examples, shown: Sequence[str]) -> list[str]:
    """Return the output fields that hold classes: short values which repeat over the examples shown."""
    values: dict[str, list[str]] = defaultdict(list)
    for name in shown:
        for field, value in examples.get(name, {}).get("outputs", {}).items():
            if isinstance(value, (str, bool, int)):
                values[field].append(str(value))
    return [
        field
        for field, seen in values.items()
        if len(seen) == len(shown) and 2 <= len(set(seen)) <= min(MOST_CLASSES, len(seen) // 2)
    ]


def confusion(field: str, examples: Examples, answers: Sequence[Answer]) -> pd.DataFrame:
    """Return how often each expected class of a field, a row, was answered as which class, a column.

    Columns beyond the classes are what else was answered. A failed call is not counted.
    """
    answered = [answer for answer in answers if answer.failure is None and answer.example in examples]
    expected = [str(examples[answer.example]["outputs"][field]) for answer in answered]
    classes = sorted(set(expected))
    folded = {label.casefold(): label for label in classes}
    seen = [_class_of(answer, field, folded) for answer in answered]
    columns = dict.fromkeys([*classes, *(name for name in (OTHER, UNREADABLE) if name in seen)])
    counts = pd.crosstab(pd.Series(expected, dtype=str), pd.Series(seen, dtype=str))
    return counts.reindex(index=classes, columns=list(columns), fill_value=0)


def _class_of(answer: Answer, field: str, folded: Mapping[str, str]) -> str:
    if "unreadable" in answer.fields and field not in answer.fields:
        return UNREADABLE
    return folded.get(str(answer.fields.get(field)).strip().casefold(), OTHER)


def changed(before: Sequence[Answer], after: Sequence[Answer]) -> tuple[list[Change], list[Change]]:
    """Return the examples that the second candidate answers better, and those it answers worse, widest first."""
    known = {answer.example: answer for answer in before if answer.value is not None}
    pairs = [Change(a.example, known[a.example], a) for a in after if a.value is not None and a.example in known]
    ranked = sorted(pairs, key=lambda change: -abs(_gain(change)))
    return [change for change in ranked if _gain(change) > 0], [change for change in ranked if _gain(change) < 0]


def _gain(change: Change) -> float:
    return (change.after.value or 0.0) - (change.before.value or 0.0)


def doubtful(good: Mapping[str, Sequence[Answer]]) -> list[Doubt]:
    """Return the examples whose label good candidates agree to contradict, the most agreed first.

    A filter by consensus (Brodley & Friedl 1999, doi:10.1613/jair.606): `AGREEMENT` of at least `VOTERS`
    candidates give one answer, and the metric calls it wrong.
    """
    votes: dict[str, list[Answer]] = defaultdict(list)
    for answers in good.values():
        for answer in answers:
            if answer.failure is None and "unreadable" not in answer.fields:
                votes[answer.example].append(answer)
    doubts = []
    for example, voters in votes.items():
        wrong = [answer for answer in voters if answer.value == 0.0]
        texts = Counter(canonical_json(answer.fields).casefold() for answer in wrong)
        text, count = max(texts.items(), key=lambda pair: pair[1], default=("", 0))
        if len(voters) >= VOTERS and count >= AGREEMENT * len(voters):
            answer = next(a for a in wrong if canonical_json(a.fields).casefold() == text)
            doubts.append(Doubt(example, answer.fields, count, len(voters)))
    return sorted(doubts, key=lambda doubt: -doubt.votes / doubt.voters)
