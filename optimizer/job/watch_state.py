"""What `metier watch` keeps between its calls: one JSON file, written whole, and checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from optimizer.config.strict import Strict, validate
from optimizer.errors import LedgerError
from optimizer.evaluate.betting import STAKES
from optimizer.evaluate.drift import PARTS, Drift, FirstLook
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


class Alarm(Strict):
    """At which check the alarm was raised, when (seconds since 1970), and in which words."""

    check: Annotated[int, Field(gt=0)]
    time: Finite
    messages: tuple[str, ...]


class State(Strict):
    """A watch between two calls.

    `begun` counts how often it began: once, and once more at each `--accept`. `checks` were made since then. `first` is
    the wealth of a `FirstLook`, and `met` the examples that it has seen. `reference` holds the answers that the checks
    are compared with, by example; None: those of the run's test. `told` tells that the webhook was told of the alarm.
    """

    version: Literal[1] = 1
    run: str
    model: str
    begun: Annotated[int, Field(gt=0)] = 1
    checks: Count = 0
    scores: DriftState = DriftState.of(Drift())
    answers: DriftState = DriftState.of(Drift())
    first: Wealth = FirstLook().wealth
    met: tuple[str, ...] = ()
    reference: dict[str, Reference] | None = None
    alarm: Alarm | None = None
    told: bool = False

    def after(self, gaps: Mapping[str, float], equal: Sequence[float]) -> State:
        """Return the state after one more check: the gaps of scores by example, and of answers (−1: another one)."""
        new = [gap for name, gap in gaps.items() if name not in set(self.met)]
        changes = {
            "checks": self.checks + 1,
            "scores": DriftState.of(self.scores.restored().after(list(gaps.values()))),
            "answers": DriftState.of(self.answers.restored().after(equal)) if equal else self.answers,
            "first": FirstLook(self.first).after(new).wealth,
            "met": tuple(sorted({*self.met, *gaps})),
        }
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
