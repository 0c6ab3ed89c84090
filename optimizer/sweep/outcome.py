"""What a finished cell came to, as plain data: read once from its run's ledger, kept in the sweep's."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from optimizer.errors import LedgerError
from optimizer.evaluate.aggregate import Aggregate, aggregate_from
from optimizer.ledger.answers import answers_of
from optimizer.ledger.calls import failures_by_kind
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, Side, result_of
from optimizer.ledger.spend import (
    asked_by_trial,
    asked_calls,
    lost_calls,
    recalled_calls,
    usage_by_trial,
    usage_in,
)
from optimizer.ledger.trials import TrialFigures, trial_figures
from optimizer.report.words import dimensions_of
from optimizer.types import Score, Usage

# Digits of scores that are kept.
DIGITS = 6


def outcome_of(run_dir: Path) -> dict[str, Any]:
    """Return the outcome of a finished run; raises LedgerError for any other.

    `test` holds for each test example a number for the seed and one for the winner, whose means are their scores, None
    where no answer came: the scores, or what `Aggregate.numbers` makes of a statistic. `curve` is the best validation
    score so far after so many calls and dollars of the trials. `spent` counts as the budget does: calls and tokens of
    the search, dollars of the whole run; `asked` and the curve count calls that were `recalled` from the cache between
    runs, too, so that they do not depend on which cell was played first.
    """
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        report = result_of(ledger)
        if report is None:
            raise LedgerError(f"{run_dir}: this run has no result", f"Let it finish with `metier resume {run_dir}`.")
        identity = ledger.meta("identity") or {}
        searched, tested = usage_in(ledger, "search"), usage_in(ledger, "test")
        answers = answers_of(ledger, report.seed.candidate.id, "test")
        return {
            "run_id": report.run_id,
            "task": report.task,
            "metric": identity.get("task", {}).get("metric") or (answers[0].metric if answers else ""),
            "is_mean": report.statistic is None,
            "verdict": report.verdict,
            "seed": _side(report.seed),
            "winner": {**_side(report.winner), "validation_score": round(report.validation_score, DIGITS)},
            "difference": {"mean": report.difference, "ci95": list(report.difference_ci95)},
            "test_examples": report.test_examples,
            "test": _by_example(ledger, report, aggregate_from(report.statistic)),
            "spent": {"calls": searched.calls, "tokens": searched.tokens, "usd": searched.usd + tested.usd},
            "test_calls": tested.calls,
            "asked": asked_calls(ledger, "search"),
            "recalled": recalled_calls(ledger),
            "lost": lost_calls(ledger),
            "seconds": report.seconds,
            "trials": dict(report.trials),
            "failures": {kind: count for kind, count, _ in failures_by_kind(ledger)},
            "curve": _curve(trial_figures(ledger), asked_by_trial(ledger), usage_by_trial(ledger)),
            "notes": len(report.notes),
        }


def _side(side: Side) -> dict[str, Any]:
    return {
        "score": side.test_score,
        "ci95": list(side.test_ci95),
        "candidate": side.candidate.id,
        "prompt": dimensions_of(side.candidate),
        "tokens_per_call": side.tokens_per_call,
    }


def _by_example(ledger: Reader, report: Report, aggregate: Aggregate) -> dict[str, list[float | None]]:
    sides: list[dict[str, float]] = []
    for candidate in (report.seed.candidate, report.winner.candidate):
        answers = {a.example: score for a in answers_of(ledger, candidate.id, "test") if (score := a.score) is not None}
        scores: list[Score] = list(answers.values())
        numbers = aggregate.numbers(scores) if scores else []
        sides.append({example: round(x, DIGITS) for example, x in zip(answers, numbers, strict=True)})
    seed, winner = sides
    return {example: [seed.get(example), winner.get(example)] for example in dict.fromkeys([*seed, *winner])}


def _curve(
    trials: list[TrialFigures], asked: dict[int, int], spent: dict[int, Usage]
) -> list[tuple[int, float, float]]:
    """Return (calls, dollars, best score) each time that the best rose; only trials that saw the whole race count."""
    calls, usd, best, rises = 0, 0.0, -1.0, list[tuple[int, float, float]]()
    for trial in sorted((t for t in trials if t.ended is not None), key=lambda t: (t.ended or 0.0, t.number)):
        calls, usd = calls + asked.get(trial.number, 0), usd + spent.get(trial.number, Usage()).usd
        if trial.state == "complete" and trial.score is not None and trial.score > best:
            best = trial.score
            rises.append((calls, round(usd, 9), round(best, DIGITS)))
    return rises
