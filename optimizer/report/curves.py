"""The search in figures: the best score so far, and the trials that no other beats in both score and price."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.ledger.trials import Trial


def best_so_far(trials: Sequence[Trial]) -> list[tuple[int, float, int]]:
    """Return (calls made, best score, trial) each time that the best rose, and at the end.

    Only trials that saw every example of the race count: the score of few examples is easily high.
    """
    calls, best, found = 0, -1.0, list[tuple[int, float, int]]()
    ended = sorted((t for t in trials if t.ended is not None), key=lambda t: (t.ended or 0.0, t.number))
    for trial in ended:
        calls += trial.calls
        if trial.state == "complete" and trial.score is not None and trial.score > best:
            best = trial.score
            found.append((calls, best, trial.number))
    if found and found[-1][0] < calls:
        found.append((calls, best, found[-1][2]))
    return found


def priced(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with a score and a price, one a candidate, which saw the whole race."""
    known = {t.candidate.id: t for t in reversed(trials) if t.state == "complete" and t.tokens is not None}
    return sorted(known.values(), key=lambda trial: trial.number)


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that no other beats in both score and tokens a call, the cheapest first."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (t.tokens or 0.0, -(t.score or 0.0), t.number)):
        if not front or (trial.score or 0.0) > (front[-1].score or 0.0):
            front.append(trial)
    return front
