"""The trials' table: what the search tried, who proposed it, and how well it did."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from optimizer.ledger.answers import tokens_in_search
from optimizer.ledger.encode import json_text
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.shapes import parsed
from optimizer.ledger.spend import usage_by_trial
from optimizer.types import Candidate, Usage

_FIGURES = ("number", "candidate", "state", "reason", "value", "score", "low", "high", "seen", "failures", "ended")


@dataclass(frozen=True)
class TrialFigures:
    """A trial without its prompts; `state` is running, complete, raced_out or failed.

    `value` is what the sampler was told, `score` the mean over the examples seen, in [0, 1]; `low` and `high` bound
    its 95 % interval. `ended` is in seconds since 1970.
    """

    number: int
    candidate_id: str
    state: str
    reason: str
    value: float | None
    score: float | None
    low: float | None
    high: float | None
    seen: int
    failures: int
    ended: float | None


@dataclass(frozen=True)
class Trial(TrialFigures):
    """One trial; `spent` is what its calls cost, `tokens` the mean of a call, None where the candidate made none."""

    candidate: Candidate
    params: Mapping[str, Any]
    started: float
    spent: Usage
    tokens: float | None

    @property
    def calls(self) -> int:
        """How many calls it paid for."""
        return self.spent.calls


T = TypeVar("T", bound=TrialFigures)


def begin_trial(ledger: Ledger, number: int, candidate: Candidate, params: Mapping[str, Any]) -> Future[int]:
    """Record a trial that starts; one that had ended in an earlier attempt stays so."""
    sql = (
        "INSERT INTO trials (number, candidate, origin, parents, prompts, params, state, started)"
        " VALUES (?, ?, ?, ?, ?, ?, 'running', ?) ON CONFLICT (number) DO UPDATE SET candidate = excluded.candidate,"
        " origin = excluded.origin, parents = excluded.parents, prompts = excluded.prompts, params = excluded.params,"
        " state = CASE WHEN candidate = excluded.candidate THEN state ELSE 'running' END"
    )
    lineage = (candidate.origin, json_text(candidate.parents))
    values = (number, candidate.id, *lineage, json_text(candidate.to_json()), json_text(params), ledger.clock.now())
    return ledger.write(sql, values)


def finish_trial(ledger: Ledger, number: int, candidate: Candidate | None = None, **columns: Any) -> Future[int]:
    """Record how a trial ended: state, reason, value, score, low, high, seen, failures.

    `candidate` is the trial's own with what it was fitted to meanwhile.
    """
    if candidate is not None and candidate.calibrates:
        columns["prompts"] = json_text(candidate.to_json())
    names = ", ".join(f"{name} = ?" for name in columns)
    # A replay ends a trial a second time, with the same figures: it ended when it first did.
    sql = f"UPDATE trials SET {names}, ended = CASE state WHEN 'running' THEN ? ELSE ended END WHERE number = ?"  # noqa: S608
    return ledger.write(sql, (*columns.values(), ledger.clock.now(), number))


def all_trials(ledger: Reader) -> list[Trial]:
    """Return the trials in order."""
    spent, tokens = usage_by_trial(ledger), tokens_in_search(ledger)
    rows = ledger.read_whole("trials", "TRUE ORDER BY number")
    with ledger.decoding("a trial"):
        return [_trial(row, spent, tokens) for row in rows]


def find_trial(ledger: Reader, number: int) -> Trial:
    """Return one trial; raises IndexError where there is none."""
    row = ledger.read_whole("trials", "number = ?", (number,))[0]
    with ledger.decoding("a trial"):
        return _trial(row, usage_by_trial(ledger, number), tokens_in_search(ledger, row["candidate"]))


def trial_figures(ledger: Reader) -> list[TrialFigures]:
    """Return the trials in order, without their prompts: those may be long."""
    return [TrialFigures(*row) for row in ledger.read(f"SELECT {', '.join(_FIGURES)} FROM trials ORDER BY number")]  # noqa: S608


def _trial(row: sqlite3.Row, spent: Mapping[int, Usage], tokens: Mapping[str, float]) -> Trial:
    return Trial(
        **{name: row[name] for name in _FIGURES if name != "candidate"},
        candidate_id=row["candidate"],
        candidate=Candidate.from_json(
            parsed("trials", "prompts", row["prompts"]), row["origin"], parsed("trials", "parents", row["parents"])
        ),
        params=parsed("trials", "params", row["params"]) or {},
        started=row["started"],
        spent=spent.get(row["number"], Usage()),
        tokens=tokens.get(row["candidate"]),
    )


def best_trial(trials: Iterable[T]) -> T | None:
    """Return the best trial that did not fail; see `best_so_far`."""
    scored = {trial.number: trial for trial in trials if trial.score is not None and trial.state != "failed"}
    best = best_so_far((number, trial.score or 0.0, trial.seen) for number, trial in scored.items())
    return None if best is None else scored[best]


def best_so_far(standings: Iterable[tuple[int, float, int]]) -> int | None:
    """Return the number of the best trial; None where none has a score.

    Each trial is (number, mean score, examples seen). The best has the highest mean among those that saw at least half
    of what the longest saw: a few examples easily give a high score. Ties go to the lower number.
    """
    trials = list(standings)
    longest = max((seen for _, _, seen in trials), default=0)
    eligible = [(score, -number) for number, score, seen in trials if 2 * seen >= longest]
    return -max(eligible)[1] if eligible else None


def put_proposers(ledger: Ledger, record: Mapping[str, Any]) -> None:
    """Write down what each proposer did during the search, and why the last proposals were rejected."""
    ledger.put_meta("proposers", dict(record))


def proposers_of(ledger: Reader) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what each proposer that was asked did, by name, and why the last proposals were rejected."""
    found = ledger.meta("proposers") or {"proposers": {}, "rejected": []}
    return {name: row for name, row in found["proposers"].items() if row["asked"]}, found["rejected"]
