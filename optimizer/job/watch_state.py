"""What `metier watch` keeps between its calls: one JSON file, written whole, and checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from optimizer.config.strict import Strict, validate
from optimizer.errors import LedgerError
from optimizer.evaluate.betting import STAKES
from optimizer.evaluate.drift import PARTS, Again, Drift, error_at, is_due, odd_one_evidence
from optimizer.system.files import is_file, refuse_large, unreadable, write_atomically
from optimizer.task.text import parse_json

FILE = "state.json"
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Wealth = Annotated[tuple[Finite, ...], Field(min_length=len(STAKES), max_length=len(STAKES))]
Part = Annotated[int, Field(ge=-PARTS, le=PARTS)]


class DriftState(Strict):
    """A `Drift`, as it was after the last check."""

    looks: Count
    low: float = Field(ge=-1, le=1)
    wealth: Wealth
    seen: dict[Part, Count]

    @classmethod
    def of(cls, drift: Drift) -> DriftState:
        """Return what is kept of a test."""
        return cls(**asdict(drift))

    def restored(self) -> Drift:
        """Return the test."""
        return Drift(self.looks, self.low, self.wealth, self.seen)


class Reference(Strict):
    """An answer that others are compared with, and its score."""

    score: float = Field(ge=0, le=1)
    answer: dict[str, Any]


class AgainState(Strict):
    """An `Again`: what an example's later answers were worth."""

    asked: Annotated[int, Field(gt=0)]
    total: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    least: float = Field(ge=0, le=1)

    def restored(self) -> Again:
        """Return it as the statistics take it."""
        return Again(self.asked, self.total, self.least)


class FirstState(Strict):
    """What the first answers were last found to be: at which check, with the log of which evidence."""

    check: Annotated[int, Field(gt=0)]
    evidence: Finite

    @property
    def error(self) -> float:
        """The chance of a wrong alarm at that check."""
        return error_at(self.check)

    @property
    def fallen(self) -> bool:
        """Whether it is as much evidence as the same model hardly ever leads to."""
        return self.evidence >= -math.log(self.error)


class Alarm(Strict):
    """At which check the alarm was raised, when (seconds since 1970), and in which words."""

    check: Annotated[int, Field(gt=0)]
    time: Finite
    messages: tuple[str, ...]


class State(Strict):
    """A watch between two calls.

    `begun` counts how often it began: once, and once more at each `--accept`. `checks` were made since then. `again`
    holds what the examples were answered in them. `reference` holds the answers that the checks are compared with, by
    example; None: those of the run's test. `told` tells that the webhook was told of the alarm.
    """

    version: Literal[1] = 1
    run: str
    model: str
    begun: Annotated[int, Field(gt=0)] = 1
    checks: Count = 0
    scores: DriftState = DriftState.of(Drift())
    answers: DriftState = DriftState.of(Drift())
    again: dict[str, AgainState] = Field({})
    first: FirstState | None = None
    reference: dict[str, Reference] | None = None
    alarm: Alarm | None = None
    told: bool = False

    def after(self, scores: Mapping[str, float], unequal: Sequence[float], first: Mapping[str, float]) -> State:
        """Return the state after one more check: its scores by example, and gaps of answers (−1: another one).

        `first` holds the score that each example is compared with.
        """
        again = {name: one.restored() for name, one in self.again.items()}
        for name, score in scores.items():
            again[name] = again[name].after(score) if name in again else Again(1, score, score)
        changes = {
            "checks": self.checks + 1,
            "scores": DriftState.of(
                self.scores.restored().after([score - first[name] for name, score in scores.items()])
            ),
            "answers": DriftState.of(self.answers.restored().after(unequal)) if unequal else self.answers,
            "again": {name: AgainState(**asdict(one)) for name, one in sorted(again.items())},
        }
        if is_due(self.checks + 1):
            evidence = odd_one_evidence([first[name] for name in again], list(again.values()))
            changes["first"] = FirstState(check=self.checks + 1, evidence=evidence)
        return self.model_copy(update=changes)


def read_state(folder: Path) -> State | None:
    """Return the state that a folder holds, None of a new one; raises LedgerError where it is not one of ours."""
    path = folder / FILE
    if not is_file(path):
        return None
    remedy = "Put an earlier copy there, or move it away to begin the watch anew."
    try:
        refuse_large(path, LedgerError)
        data = parse_json(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise unreadable(path, problem, LedgerError) from None
    except ValueError as problem:
        raise LedgerError(f"{path}: cannot be read ({problem!s:.200})", remedy) from None
    if not isinstance(data, dict):
        raise LedgerError(f"{path}: is not what metier watch wrote", remedy)
    return validate(State, data, str(path), LedgerError)


def write_state(folder: Path, state: State) -> None:
    """Write the state whole or not at all; raises LedgerError."""
    write_atomically(folder / FILE, state.model_dump_json(indent=1) + "\n")
