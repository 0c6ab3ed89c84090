"""Reads from the ledger, once, all that a report tells; of a run that goes on as well as of a finished one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optimizer.ledger.answers import Answer, answers_of
from optimizer.ledger.calls import failures_by_kind
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, result_of
from optimizer.ledger.sent import SentPrompt, prompt_as_sent
from optimizer.ledger.spend import lost_calls, usage_by_role
from optimizer.ledger.trials import Trial, all_trials, best_trial, proposers_of
from optimizer.types import Candidate, Usage

if TYPE_CHECKING:
    from optimizer.evaluate.reliability import Reliability

GOOD = 10


@dataclass(frozen=True)
class Facts:
    """A run, as its ledger tells it; `state` is running, interrupted or finished.

    `planned` is how many trials are wanted, None where the budget alone ends the search; `after` is the winner, or
    the best candidate so far; `split` the examples on which it and the seed are compared in `before_answers` and
    `after_answers`: test, once both have answered it. `before_sent` and `after_sent` are their prompts as they were
    sent for one example. `fitted` is how many validation answers of `after` its calibration was fitted to, 0 where it
    has none, and `reliability` how sure these were, and how right. `good` holds the validation answers of the best
    candidates, by id.
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
    fitted: int
    reliability: Reliability | None
    good: Mapping[str, Sequence[Answer]]
    examples: Mapping[str, Mapping[str, Mapping[str, Any]]]
    usage: Mapping[str, Mapping[str, Usage]]
    failures: Sequence[tuple[str, int, str]]
    lost: int
    notes: Sequence[str]
    proposers: Mapping[str, Mapping[str, Any]]
    rejected: Sequence[str]


def gather(ledger: Reader) -> Facts:
    """Return the facts of a run."""
    result, trials = result_of(ledger), all_trials(ledger)
    before = trials[0].candidate if trials else None
    after = _after(trials, result)
    split = "test" if result else "validation"
    sides = [answers_of(ledger, side.id, split) if side else [] for side in (before, after)]
    sent = [prompt_as_sent(ledger, side.id) if side else None for side in (before, after)]
    identity = ledger.meta("identity") or {}
    proposers, rejected = proposers_of(ledger)
    fitted, reliability = _calibration(ledger, after)
    return Facts(
        task=identity.get("task", {}).get("name", ""),
        run_id=ledger.meta("run_id") or "",
        planned=ledger.meta("planned"),
        state="finished" if result else "running" if ledger.is_being_written() else "interrupted",
        stopped=(ledger.meta("stopped") or {}).get("why", ""),
        result=result.to_json() if result else None,
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
        fitted=fitted,
        reliability=reliability,
        good={cid: answers_of(ledger, cid, "validation") for cid in good_candidates(trials)},
        examples={name: example.to_json() for name, example in known_examples(ledger).items()},
        usage={"search": usage_by_role(ledger, "search"), "test": usage_by_role(ledger, "test")},
        failures=failures_by_kind(ledger),
        lost=lost_calls(ledger),
        notes=result.notes if result else (),
        proposers=proposers,
        rejected=rejected,
    )


def ranked(trials: Sequence[Trial], winner: Candidate | None) -> list[Trial]:
    """Return the trials, the winner's first, then those that saw the whole race, by score; who left it comes last."""
    won = None if winner is None else winner.id

    def rank(trial: Trial) -> tuple[bool, bool, float, int]:
        return trial.candidate.id != won, trial.state != "complete", -(trial.score or 0.0), trial.number

    return sorted(trials, key=rank)


def good_candidates(trials: Sequence[Trial]) -> list[str]:
    """Return the ids of the candidates that the best one is not clearly above, the best first, at most `GOOD`."""
    best = best_trial(trials)
    if best is None or best.low is None:
        return []
    near = [t for t in trials if t.state == "complete" and t.score is not None and t.score >= best.low]
    ranked = sorted(near, key=lambda trial: (-(trial.score or 0.0), trial.number))
    return list(dict.fromkeys(trial.candidate.id for trial in ranked))[:GOOD]


def _after(trials: Sequence[Trial], result: Report | None) -> Candidate | None:
    if result is not None:
        winner = result.winner.candidate
        tried = next((trial.candidate for trial in trials if trial.candidate_id == winner.id), winner)
        # A trial's own calibration may be older: it ended before the candidate was tried again.
        return replace(tried, prompts=winner.prompts)
    best = best_trial(trials)
    return None if best is None else best.candidate


def _calibration(ledger: Reader, candidate: Candidate | None) -> tuple[int, Reliability | None]:
    """Return how many answers a candidate's calibration was fitted to, and how reliable they are."""
    if candidate is None or all(prompt.calibration is None for prompt in candidate.prompts.values()):
        return 0, None
    from optimizer.evaluate.reliability import reliability

    answers = answers_of(ledger, candidate.id, "validation")
    return sum(answer.failure is None for answer in answers), reliability(ledger, candidate, answers)
