"""One trial as `metier show` tells it: its figures, and each example with its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.ledger.records import known_examples
from optimizer.report.gather import Trial, answers_of


@dataclass(frozen=True)
class Row:
    """One example and its answer; `place` counts from 0 in the order in which the race saw them."""

    place: int
    asked: str
    expected: str
    answer: str
    value: float | None
    failure: str | None
    feedback: str


@dataclass(frozen=True)
class Shown:
    """A trial with its rows; `inputs` are those of the first row, {} where they are not known."""

    trial: Trial
    rows: Sequence[Row]
    inputs: dict[str, Any]
    alone: bool

    @property
    def first(self) -> int:
        """The place of the first row."""
        return self.rows[0].place if self.rows else 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        one = self.trial.candidate
        trial = {**asdict(self.trial), "candidate": one.id, "origin": one.origin, "parents": list(one.parents)}
        return {**trial, "prompts": one.to_json(), "answers": [asdict(row) for row in self.rows]}


def shown_trial(ledger: Reader, trial: Trial, example: int | None = None) -> Shown:
    """Return a trial with all its answers, or with that to one example; raises LedgerError where it has not seen it."""
    answers = answers_of(ledger, trial.candidate.id, "validation")[: trial.seen or None]
    examples = known_examples(ledger)
    places = range(len(answers)) if example is None else [example]
    if example is not None and not 0 <= example < len(answers):
        what = f"trial {trial.number} has not seen an example {example}"
        raise LedgerError(what, f"It has seen {len(answers)}, counted from 0.")
    rows = []
    for place in places:
        answer, known = answers[place], examples.get(answers[place].example, {})
        asked, expected = _text(known.get("inputs", {})), _text(known.get("outputs", {}))
        told = str(answer.fields.get("unreadable", "")) or _text(answer.fields)
        rows.append(Row(place, asked, expected, told, answer.value, answer.failure, answer.feedback))
    inputs = dict(examples.get(answers[places[0]].example, {}).get("inputs", {})) if rows else {}
    return Shown(trial, rows, inputs, example is not None)


def _text(fields: Mapping[str, Any]) -> str:
    if len(fields) == 1:
        return str(next(iter(fields.values())))
    return "; ".join(f"{name}: {value}" for name, value in fields.items())
