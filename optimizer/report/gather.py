"""Reads from the ledger, once, all that a report tells; of a run that goes on as well as of a finished one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.ledger.reader import Reader
from optimizer.ledger.records import (
    SentPrompt,
    all_trials,
    failures_by_kind,
    known_examples,
    lost_calls,
    prompt_as_sent,
    proposers_of,
    scores_of,
    tokens_in_search,
    usage_by_role,
    usage_by_trial,
)
from optimizer.ledger.trials import best_so_far
from optimizer.types import Candidate, Usage

GOOD = 10


@dataclass(frozen=True)
class Trial:
    """One trial; `tokens` is the mean of its calls, None where it made none. Scores lie in [0, 1]."""

    number: int
    candidate: Candidate
    state: str
    reason: str
    params: Mapping[str, Any]
    score: float | None
    low: float | None
    high: float | None
    value: float | None
    seen: int
    failures: int
    ended: float | None
    calls: int
    tokens: float | None


@dataclass(frozen=True)
class Answer:
    """What a candidate answered to one example; `value` is None where the call failed."""

    example: str
    value: float | None
    fields: Mapping[str, Any]
    feedback: str
    failure: str | None


@dataclass(frozen=True)
class Facts:
    """A run, as its ledger tells it; `state` is running, interrupted or finished.

    `planned` is how many trials are wanted, None where the budget alone ends the search; `after` is the winner, or
    the best candidate so far; `split` the examples on which it and the seed are compared in `before_answers` and
    `after_answers`: test, once both have answered it. `before_sent` and `after_sent` are their prompts as they were
    sent for one example. `good` holds the validation answers of the best candidates, by id.
    """

    task: str
    run_id: str
    planned: int | None
    state: str
    stopped: str
    result: Mapping[str, Any] | None
    identity: Mapping[str, Any]
    task_path: str
    trials: Sequence[Trial]
    before: Candidate | None
    after: Candidate | None
    split: str
    before_answers: Sequence[Answer]
    after_answers: Sequence[Answer]
    before_sent: SentPrompt | None
    after_sent: SentPrompt | None
    good: Mapping[str, Sequence[Answer]]
    examples: Mapping[str, Mapping[str, Mapping[str, Any]]]
    usage: Mapping[str, Mapping[str, Usage]]
    failures: Sequence[tuple[str, int, str]]
    lost: int
    notes: Sequence[str]
    proposers: Mapping[str, Mapping[str, Any]]
    rejected: Sequence[str]


def gather(ledger: Reader, result: Mapping[str, Any] | None = None) -> Facts:
    """Return the facts of a run; `result` is its outcome where the ledger does not hold it yet."""
    result = result or ledger.meta("result")
    trials = trials_of(ledger)
    before = trials[0].candidate if trials else None
    after = _after(trials, result)
    split = "test" if result else "validation"
    sides = [answers_of(ledger, side.id, split) if side else [] for side in (before, after)]
    sent = [prompt_as_sent(ledger, side.id) if side else None for side in (before, after)]
    identity = ledger.meta("identity") or {}
    proposers, rejected = proposers_of(ledger)
    return Facts(
        task=identity.get("task", {}).get("name", ""),
        run_id=ledger.meta("run_id") or "",
        planned=ledger.meta("planned"),
        state="finished" if result else "running" if ledger.is_being_written() else "interrupted",
        stopped=(ledger.meta("stopped") or {}).get("why", ""),
        result=result,
        identity=identity,
        task_path=ledger.meta("task_path") or "",
        trials=trials,
        before=before,
        after=after,
        split=split,
        before_answers=sides[0],
        after_answers=sides[1],
        before_sent=sent[0],
        after_sent=sent[1],
        good={cid: answers_of(ledger, cid, "validation") for cid in good_candidates(trials)},
        examples=known_examples(ledger),
        usage={"search": usage_by_role(ledger, "search"), "test": usage_by_role(ledger, "test")},
        failures=failures_by_kind(ledger),
        lost=lost_calls(ledger),
        notes=tuple(result.get("notes", ())) if result else (),
        proposers=proposers,
        rejected=rejected,
    )


def trials_of(ledger: Reader) -> list[Trial]:
    """Return the run's trials in order."""
    spent = usage_by_trial(ledger)
    return [
        _trial(row, spent.get(row["number"], Usage()), tokens_in_search(ledger, row["candidate"]))
        for row in all_trials(ledger)
    ]


def answers_of(ledger: Reader, candidate: str, split: str) -> list[Answer]:
    """Return what a candidate answered on a split, in the split's order."""
    return [
        Answer(row["example"], row["value"], json.loads(row["answer"]), row["feedback"], row["failure"])
        for row in scores_of(ledger, candidate, split)
    ]


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the best trial that did not fail; see `ledger.trials.best_so_far`."""
    scored = {t.number: (t, t.score) for t in trials if t.score is not None and t.state != "failed"}
    best = best_so_far((number, score, trial.seen) for number, (trial, score) in scored.items())
    return None if best is None else scored[best][0]


def ranked(trials: Sequence[Trial], winner: Candidate | None) -> list[Trial]:
    """Return the trials, the winner's first, then those that saw the whole race, by score; who left it comes last."""
    won = None if winner is None else winner.id

    def place(trial: Trial) -> tuple[bool, bool, float, int]:
        return trial.candidate.id != won, trial.state != "complete", -(trial.score or 0.0), trial.number

    return sorted(trials, key=place)


def good_candidates(trials: Sequence[Trial]) -> list[str]:
    """Return the ids of the candidates that the best one is not clearly above, the best first, at most `GOOD`."""
    best = best_of(trials)
    if best is None or best.low is None:
        return []
    near = [t for t in trials if t.state == "complete" and t.score is not None and t.score >= best.low]
    ranked = sorted(near, key=lambda trial: (-(trial.score or 0.0), trial.number))
    return list(dict.fromkeys(trial.candidate.id for trial in ranked))[:GOOD]


def _after(trials: Sequence[Trial], result: Mapping[str, Any] | None) -> Candidate | None:
    if result is not None:
        winner = Candidate.from_json(result["winner"]["prompt"])
        return next((trial.candidate for trial in trials if trial.candidate.id == winner.id), winner)
    best = best_of(trials)
    return None if best is None else best.candidate


def _trial(row: sqlite3.Row, spent: Usage, tokens: float | None) -> Trial:
    same = ("number", "state", "reason", "score", "low", "high", "value", "seen", "failures", "ended")
    return Trial(
        candidate=Candidate.from_json(json.loads(row["prompts"]), row["origin"], json.loads(row["parents"])),
        params=json.loads(row["params"]),
        calls=spent.calls,
        tokens=tokens,
        **{name: row[name] for name in same},
    )
