"""One trial as `metier show` tells it: its figures, and each example with its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.errors import LedgerError
from optimizer.ledger.answers import answers_of
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import Trial
from optimizer.types import Example

FIGURES = ("number", "state", "reason", "params", "score", "low", "high", "value", "seen", "failures", "ended")


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
        """The position of the first row."""
        return self.rows[0].place if self.rows else 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        candidate = self.trial.candidate
        return {
            **{name: getattr(self.trial, name) for name in (*FIGURES, "calls", "tokens")},
            "candidate": candidate.id,
            "origin": candidate.origin,
            "parents": list(candidate.parents),
            "prompts": candidate.to_json(),
            "answers": [asdict(row) for row in self.rows],
        }


def shown_trial(ledger: Reader, trial: Trial, example: int | None = None) -> Shown:
    """Return a trial with all its answers, or with that to one example; raises LedgerError where it has not seen it."""
    answers = answers_of(ledger, trial.candidate_id, "validation")[: trial.seen or None]
    if example is not None and not 0 <= example < len(answers):
        what = f"trial {trial.number} has not seen an example {example}"
        raise LedgerError(what, f"It has seen {len(answers)}, counted from 0.")
    known, unknown = known_examples(ledger), Example({}, {})
    rows = []
    for position in range(len(answers)) if example is None else [example]:
        answer = answers[position]
        asked = known.get(answer.example, unknown)
        said = str(answer.fields.get("unreadable", "")) or _text(answer.fields)
        outcome = (answer.value, answer.failure, answer.feedback)
        rows.append(Row(position, _text(asked.inputs), _text(asked.outputs), said, *outcome))
    inputs = dict(known.get(answers[rows[0].place].example, unknown).inputs) if rows else {}
    return Shown(trial, rows, inputs, example is not None)


def _text(fields: Mapping[str, Any]) -> str:
    if len(fields) == 1:
        return str(next(iter(fields.values())))
    return "; ".join(f"{name}: {value}" for name, value in fields.items())
