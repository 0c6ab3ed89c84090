"""The trials as the ledger and the live view see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optimizer.evaluate.statistics import Interval, mean, standard_error
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.search.board import Board
from optimizer.search.sampler import Asked, Observation
from optimizer.types import Candidate, Score

# A standard error of one hundredth: no validation set tells more of the examples to come.
LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class Event:
    """Something that a watcher may show: `kind` is started, block, ended."""

    kind: str
    number: int
    candidate: Candidate
    scores: list[float]
    state: str = "running"
    reason: str = ""


@dataclass
class TrialLog:
    """Records how each trial starts and ends, and tells the watcher; a race is `length` examples long."""

    ledger: Ledger
    length: int
    watch: Callable[[Event], None]
    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)  # the trial that asked for a candidate first

    def begin(self, number: int, asked: Asked) -> None:
        """Record that a trial starts."""
        self._first.setdefault(asked.candidate.id, number)
        start_trial(self.ledger, self.watch, number, asked.candidate)

    def progress(self, number: int, asked: Asked, board: Board) -> None:
        """Tell the watcher that a block was scored."""
        self.watch(Event("block", number, asked.candidate, board.scores(asked.candidate.id)))

    def raced_out(self, number: int, board: Board, candidate: str, leader: str) -> None:
        """Note why a trial leaves the race; who falls behind at the last example has left nothing."""
        if len(board.results(candidate)) >= self.length:
            return
        own, leaders = board.paired(candidate, leader)
        self.reasons[number] = ("raced_out", _behind(mean(leaders) - mean(own), self._first.get(leader), len(own)))

    def unfinished(self, running: dict[int, Asked], board: Board) -> None:
        """Note that the budget ended while these were running; who has seen every example is complete."""
        for number, asked in running.items():
            if len(board.results(asked.candidate.id)) < self.length:
                self.reasons[number] = ("raced_out", "the budget was spent before it had seen every example")

    def finish(self, number: int, asked: Asked, board: Board, reference: str | None) -> Observation | None:
        """Record how a trial ended; returns what the sampler learns of it, None if it failed."""
        cid = asked.candidate.id
        scores, failures = board.scores(cid), board.failures(cid)
        state, reason = self.reasons.pop(number, ("complete", "saw every example of the race"))
        if board.too_many_failures(cid):
            kinds = ", ".join(sorted({r.kind for r in board.results(cid) if not isinstance(r, Score)}))
            state, reason = "failed", f"{failures} of {len(board.results(cid))} answers never came ({kinds})"
        cost = board.cost_per_call(cid)
        if cost is not None:
            board.costs[cid] = cost
        value = board.estimate(cid, reference) if scores and state != "failed" else None
        ended = Event("ended", number, board.candidates.get(cid, asked.candidate), scores, state, reason)
        end_trial(self.ledger, self.watch, ended, value, board.interval(cid), len(board.results(cid)), failures)
        if value is None:
            return None
        latency = board.latency(cid)
        took = None if latency is None else latency.p50
        return Observation(value, _variance(board, cid, reference), len(scores), board.costs.get(cid), took)


def start_trial(ledger: Ledger, watch: Callable[[Event], None], number: int, candidate: Candidate) -> None:
    """Record that a trial starts, and tell the watcher."""
    begin_trial(ledger, number, candidate, parameters(candidate)).result()
    watch(Event("started", number, candidate, []))


def end_trial(
    ledger: Ledger,
    watch: Callable[[Event], None],
    ended: Event,
    value: float | None,
    ci95: Interval,
    seen: int,
    failures: int,
) -> None:
    """Record how a trial ended, with the sampler's `value` for it and its score's interval, and tell the watcher."""
    low, high = ci95
    score = mean(ended.scores) if ended.scores else None
    columns: dict[str, Any] = {"low": low, "high": high, "seen": seen, "failures": failures}
    columns |= {"state": ended.state, "reason": ended.reason, "value": value, "score": score}
    finish_trial(ledger, ended.number, ended.candidate, **columns).result()
    watch(ended)


def _variance(board: Board, candidate: str, reference: str | None) -> float:
    """Return how uncertain the board's estimate of a candidate is, beside the reference's own error.

    All candidates of a round share that one, so it does not change their order. Another round may have another
    reference: what that adds is left out, for telling the sampler anew of old trials found no better prompts.
    """
    if reference is None:
        return max(LEAST_VARIANCE, standard_error(board.scores(candidate)) ** 2)
    own, others = board.paired(candidate, reference)
    return max(LEAST_VARIANCE, standard_error([a - b for a, b in zip(own, others, strict=True)]) ** 2)


def _behind(gap: float, leader: int | None, examples: int) -> str:
    """Return why a trial left; `gap` is what the leader has over it in scores in [0, 1], on the same examples."""
    who = "the leader" if leader is None else f"#{leader}"
    if round(100 * gap) > 0:
        return f"behind {who} by {_counted(round(100 * gap), 'point')} after {_counted(examples, 'example')}"
    # Halving lets go of those that are level, too.
    return f"level with {who} after {_counted(examples, 'example')}, when only the better part went on"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def parameters(candidate: Candidate) -> dict[str, Any]:
    """Return every dimension of a candidate as flat, short values, by predictor."""
    params: dict[str, Any] = {}
    for name, prompt in candidate.prompts.items():
        params[f"{name}.instruction"] = prompt.instruction
        params[f"{name}.format"] = prompt.format
        params[f"{name}.count"] = prompt.count
        if prompt.count:
            params |= {f"{name}.policy": prompt.policy, f"{name}.order": prompt.order}
        if prompt.readout != "generate":
            params[f"{name}.readout"] = prompt.readout
        if prompt.ensemble:
            params[f"{name}.ensemble"] = len(prompt.asked)
        if prompt.model:
            params[f"{name}.model"] = prompt.model
    return params
