"""What is known of every candidate on the seeded order of validation examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimizer.evaluate.statistics import mean
from optimizer.types import Candidate, Failure, Score

Result = Score | Failure
MOST_FAILURES = 0.2
WIDEST = 0.5


class Board:
    """Results by candidate; any two are compared on the examples that both have answered."""

    def __init__(self) -> None:
        self.candidates: dict[str, Candidate] = {}
        self._results: dict[str, list[Result]] = {}
        self.costs: dict[str, float] = {}

    def add(self, candidate: Candidate, results: Sequence[Result]) -> None:
        """Append the next block of a candidate's results."""
        self.candidates[candidate.id] = candidate
        self._results.setdefault(candidate.id, []).extend(results)

    def results(self, candidate_id: str) -> list[Result]:
        """Return a candidate's results in order."""
        return self._results.get(candidate_id, [])

    def scores(self, candidate_id: str) -> list[float]:
        """Return the scores of the examples that were answered."""
        return [r.value for r in self.results(candidate_id) if isinstance(r, Score)]

    def failures(self, candidate_id: str) -> int:
        """Return how many answers never came."""
        return sum(isinstance(r, Failure) for r in self.results(candidate_id))

    def too_many_failures(self, candidate_id: str) -> bool:
        """Tell if a candidate has too many failures to be ranked."""
        return self.failures(candidate_id) > MOST_FAILURES * max(1, len(self.results(candidate_id)))

    def paired(self, one: str, two: str) -> tuple[list[float], list[float]]:
        """Return both candidates' scores on the examples that both have answered."""
        pairs = zip(self.results(one), self.results(two), strict=False)
        both = [(a.value, b.value) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
        return [a for a, _ in both], [b for _, b in both]

    def estimate(self, candidate_id: str, reference: str | None) -> float:
        """Return a candidate's score as if it had seen what the reference saw.

        The mean over a few examples depends on how hard they are; the difference to the
        reference on the same examples does not (a control variate).
        """
        if reference is None or reference == candidate_id:
            return mean(self.scores(candidate_id))
        mine, theirs = self.paired(candidate_id, reference)
        return mean(mine) + mean(self.scores(reference)) - mean(theirs)

    def leader(self, length: int) -> str | None:
        """Return the best of those that have seen at least `length` examples, example by example."""
        return self._best([cid for cid in self._results if len(self._results[cid]) >= length], 0.0)

    def winner(self) -> str | None:
        """Return the candidate that no other beats on the examples which both have answered.

        First among those that saw equally much, where the same examples alone decide; then between
        the best of each length. There, who has seen less is given less credit: by the widest standard
        error that scores in [0, 1] can have, so that a lucky start does not beat a good score on many.
        """
        peers: dict[int, list[str]] = {}
        for cid, results in self._results.items():
            peers.setdefault(len(results), []).append(cid)
        best = (self._best(group, 0.0) for group in peers.values())
        return self._best([cid for cid in best if cid is not None], WIDEST)

    def _best(self, candidates: Sequence[str], spread: float) -> str | None:
        """Return the minimax winner: whose worst paired margin is the best; ties to the cheaper, then older.

        A mean over what was answered would reward a candidate for failing on hard examples. Margins on
        the same examples can form a cycle, which minimax resolves (Simpson 1969, Kramer 1977).
        """
        sound = [cid for cid in candidates if self.scores(cid) and not self.too_many_failures(cid)]
        if not sound:
            return None
        worst = self._margins(sound, spread).min(axis=1).round(9)
        ranked = [(worst[place], -self.costs.get(cid, 0.0), -place, cid) for place, cid in enumerate(sound)]
        return max(ranked)[3]

    def _margins(self, candidates: Sequence[str], spread: float) -> np.ndarray:
        """Return candidate × candidate: how far the one is ahead of the other on the same examples."""
        lengths = np.array([len(self._results[cid]) for cid in candidates])
        values = np.zeros((len(candidates), lengths.max()))
        answered = np.zeros_like(values)
        for row, cid in enumerate(candidates):
            for place, result in enumerate(self._results[cid]):
                if isinstance(result, Score):
                    values[row, place], answered[row, place] = result.value, 1.0
        sums = values @ answered.T
        gaps = (sums - sums.T) / np.maximum(answered @ answered.T, 1.0)
        credit = -spread / np.sqrt(lengths)
        return np.asarray(gaps + credit[:, None] - credit[None, :])
