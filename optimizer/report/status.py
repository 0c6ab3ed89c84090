"""What `metier status` tells of a run, from its ledger alone, while another process may be writing it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.evaluate.latency import latency_of
from optimizer.ledger.answers import cut_answers
from optimizer.ledger.batches import BatchOut, batches_out
from optimizer.ledger.calls import failures_by_kind
from optimizer.ledger.clock import active_seconds, end_moment
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.ledger.sent import Masked, masked_data
from optimizer.ledger.spend import lost_calls, seconds_by_trial, usage_in
from optimizer.ledger.trials import TrialFigures, best_trial, find_trial, trial_figures
from optimizer.report.words import consistency_in_words, dimensions_of

STATES = ("complete", "raced_out", "failed", "running")
# Of the budget: before so much is spent, the time that it took tells nothing of the rest.
EARLY = 0.02


@dataclass(frozen=True)
class Status:
    """A run at one moment; `state` is running, interrupted or finished.

    `spent` holds (spent, limit or None) by limit; `best` the trial with the best mean among those that saw most, and
    `prompt` what that one has beside its instruction: "turns, nearest 4, calibrated". `planned` is None where the
    budget alone ends the search, `seconds_left` where it cannot be told. `cut` are the answers that ended at their
    limit of tokens, and all. `masked` is None where a run masks nothing. `latency` is that of the answers that the
    best trial paid for, in milliseconds, where it has a say. `consistency` tells how far the answers of a finished
    run's winner differ where each example is asked several times. `batches` are those that the provider has not
    answered yet, as far as is known. Times are seconds.
    """

    state: str
    task: str
    stopped: str
    trials: Mapping[str, int]
    planned: int | None
    best: Mapping[str, Any] | None
    spent: Mapping[str, tuple[float, float | None]]
    test_calls: int
    cut: tuple[int, int]
    failures: Mapping[str, int]
    lost_calls: int
    attempts: int
    seconds_active: float
    seconds_left: float | None
    verdict: str | None
    masked: Masked | None = None
    prompt: str = ""
    latency: Mapping[str, Any] | None = None
    consistency: str = ""
    batches: Sequence[BatchOut] = ()


def read_status(ledger: Reader) -> Status:
    """Return how a run stands; raises LedgerError if its ledger cannot be read."""
    identity, result = ledger.meta("identity") or {}, result_of(ledger)
    budget = identity.get("config", {}).get("budget", {})
    trials = trial_figures(ledger)
    counts = {state: sum(trial.state == state for trial in trials) for state in STATES}
    planned, ended = ledger.meta("planned"), len(trials) - counts["running"]
    active = active_seconds(ledger) if result is None else result.seconds
    spent = _spent(ledger, budget, active)
    until = end_moment(ledger) if budget.get("until") else None
    left = _left(spent, ended / planned if planned else 0.0, until)
    best = best_trial(trials)
    state = "running" if ledger.is_being_written() else "finished" if result else "interrupted"
    return Status(
        state=state,
        task=identity.get("task", {}).get("name", ""),
        stopped=(ledger.meta("stopped") or {}).get("why", "") if state == "interrupted" else "",
        trials=counts,
        planned=planned,
        best=best_figures(trials),
        latency=None if best is None else _latency(ledger, identity, best.number),
        prompt="" if best is None else dimensions_of(find_trial(ledger, best.number).candidate),
        spent=spent,
        test_calls=usage_in(ledger, "test").calls,
        cut=cut_answers(ledger),
        failures={kind: count for kind, count, _ in failures_by_kind(ledger)},
        lost_calls=lost_calls(ledger),
        attempts=len(ledger.meta("attempts") or ()),
        seconds_active=active,
        seconds_left=0.0 if state == "finished" else left,
        verdict=result.verdict if result else None,
        masked=masked_data(ledger),
        consistency="" if result is None or result.consistency is None else consistency_in_words(*result.consistency),
        batches=batches_out(ledger),
    )


def _latency(ledger: Reader, identity: Mapping[str, Any], trial: int) -> dict[str, Any] | None:
    search = identity.get("config", {}).get("search", {})
    if "latency" not in search.get("objective", ()) and not search.get("prefer", "").startswith("fastest"):
        return None
    found = latency_of(seconds_by_trial(ledger, trial).get(trial, []))
    return None if found is None else found.to_json()


def best_figures(trials: Sequence[TrialFigures]) -> dict[str, Any] | None:
    """Return the best trial's figures by the names that they have in Status."""
    best = best_trial(trials)
    if best is None:
        return None
    figures = {"trial": best.number, "candidate": best.candidate_id, "score": best.score, "low": best.low}
    return {**figures, "high": best.high, "examples": best.seen}


def _spent(ledger: Reader, budget: Mapping[str, Any], active: float) -> dict[str, tuple[float, float | None]]:
    search, test = usage_in(ledger, "search"), usage_in(ledger, "test")
    figures = {
        "calls": float(search.calls),
        "tokens": float(search.tokens),
        "usd": search.usd + test.usd,
        "seconds": active,
    }
    return {name: (figure, budget.get(name)) for name, figure in figures.items()}


def _left(spent: Mapping[str, tuple[float, float | None]], trials: float, until: float | None) -> float | None:
    """Return a forecast: by the limit that is spent fastest, or the share of `trials`; no later than `until`."""
    share = max([trials, *(figure / limit for figure, limit in spent.values() if limit)])
    left = [] if share <= EARLY else [max(0.0, spent["seconds"][0] * (1 / share - 1))]
    if until is not None:
        left.append(max(0.0, until - time.time()))
    return min(left, default=None)
