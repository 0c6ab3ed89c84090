"""Trials of candidates that somebody else evaluates: on which examples, and in what order, is not ours to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from optimizer.evaluate.aggregate import MEAN, Aggregate, answers
from optimizer.ledger.answers import put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import trial_figures
from optimizer.search.trials import Event, end_trial, start_trial
from optimizer.types import Candidate, Example, Failure, Score

Result = Score | Failure


class TrialRecord:
    """Writes trials and scores to the ledger, from any thread; a resumed run finds its numbers again.

    A trial is a candidate that was asked about a validation example, or about `also` (training examples of an
    optimizer that has no others). Each candidate's first answer to an example counts.
    """

    def __init__(
        self,
        ledger: Ledger,
        metric: str,
        order: Sequence[Example],
        also: Sequence[Example],
        watch: Callable[[Event], None],
        aggregate: Aggregate = MEAN,
    ) -> None:
        """`order` are the validation examples, `metric` is its name and version."""
        self._ledger, self._metric, self._watch, self._lock = ledger, metric, watch, threading.Lock()
        self._aggregate = aggregate
        self._positions = {example.id: position for position, example in enumerate(order)}
        self._also = {example.id: position for position, example in enumerate(also)}
        self._numbers = {trial.candidate_id: trial.number for trial in trial_figures(ledger)}
        self._seen: dict[str, dict[str, Result]] = {}
        self._candidates: dict[str, Candidate] = {}
        self._open: list[str] = []

    def begin(self, candidate: Candidate) -> int:
        """Return a candidate's trial, begun if it is new."""
        with self._lock:
            return self._begin(candidate)

    def number(self, candidate: Candidate, example: Example) -> int | None:
        """Return the trial that an answer counts to; None where it is no evaluation, such as a teacher's demo."""
        with self._lock:
            known = candidate.id in self._candidates
            if not known and example.id not in self._positions and example.id not in self._also:
                return None
            return self._begin(candidate)

    def put(self, candidate: Candidate, example: Example, result: Result) -> None:
        """Record a candidate's result on one example."""
        with self._lock:
            seen = self._seen.get(candidate.id)
            if seen is None or example.id in seen:
                return
            seen[example.id] = result
            if candidate.id not in self._open:
                self._open.append(candidate.id)
            for split, positions in (("validation", self._positions), ("train", self._also)):
                if (start := positions.get(example.id)) is not None:
                    put_scores(self._ledger, candidate.id, split, start, [example.id], self._metric, [result])
                    break

    def best(self) -> Candidate | None:
        """Return the candidate with the best lower bound on validation examples: few lucky ones prove little."""
        with self._lock:
            scored = {cid: answers(list(self._judged(cid).values())) for cid in self._seen}
            bounds = {cid: self._aggregate.interval(scores)[0] for cid, scores in scored.items() if scores}
            ranked = [(bound, -self._numbers[cid], cid) for cid, bound in bounds.items()]
            return self._candidates[max(ranked)[2]] if ranked else None

    def end(self) -> None:
        """Record how the trials stand."""
        with self._lock:
            self._end("")

    def _begin(self, candidate: Candidate) -> int:
        number = self._numbers.setdefault(candidate.id, len(self._numbers))
        if candidate.id not in self._candidates:
            self._end(candidate.id)  # whoever was evaluated before has mostly come to an end
            self._candidates[candidate.id], self._seen[candidate.id] = candidate, {}
            self._open.append(candidate.id)
            start_trial(self._ledger, self._watch, number, candidate)
        return number

    def _end(self, but: str) -> None:
        for cid in [cid for cid in self._open if cid != but]:
            self._open.remove(cid)
            self._finish(cid)

    def _judged(self, cid: str) -> dict[str, Result]:
        return {key: result for key, result in self._seen[cid].items() if key in self._positions}

    def _finish(self, cid: str) -> None:
        candidate, number = self._candidates[cid], self._numbers[cid]
        seen = self._seen[cid]
        judged = self._judged(cid)
        results = list((judged or seen).values())
        scores = answers(results)
        whole = len(judged) == len(self._positions)
        what = f"saw {len(judged)} validation and {len(seen) - len(judged)} training examples"
        state, reason = ("complete", what) if whole else ("raced_out", f"{what}; its optimizer asked for no more")
        if results and not scores:
            state, reason = "failed", f"none of {len(results)} answers came"
        ended = Event("ended", number, candidate, self._aggregate.numbers(scores), state, reason)
        value, ci95 = self._aggregate.score(scores) if scores else None, self._aggregate.interval(scores)
        end_trial(self._ledger, self._watch, ended, value, ci95, len(judged), len(results) - len(scores))
